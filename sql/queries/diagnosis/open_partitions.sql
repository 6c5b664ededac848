-- diagnosis/open_partitions
-- Partitions that the application can reach without going through their table's policies.
SELECT c.relname::text AS subject, 'the application may use the partition itself' AS detail
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relispartition AND c.relkind IN ('r', 'p')
  AND (has_any_column_privilege('bailiwick_app', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
       OR has_table_privilege('bailiwick_app', c.oid, 'DELETE, TRUNCATE, TRIGGER'))
ORDER BY 1
