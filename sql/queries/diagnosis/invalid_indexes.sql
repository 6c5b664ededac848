-- diagnosis/invalid_indexes
-- Indexes that no query uses because their making broke off; those that are being made are left alone.
SELECT i.indexrelid::regclass::text AS subject, format('is invalid (on %s)', i.indrelid::regclass) AS detail
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'i'
WHERE NOT i.indisvalid AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
  -- Not every role is told what others make: the lock of a table under which one may be made has to do.
  AND (pg_has_role('pg_read_all_stats', 'USAGE')
       OR NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted))
ORDER BY 1
