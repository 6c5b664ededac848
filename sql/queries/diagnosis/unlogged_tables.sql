-- diagnosis/unlogged_tables
-- Tables that a crash would empty.
SELECT c.relname::text AS subject, 'is UNLOGGED: a crash empties it' AS detail
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relpersistence = 'u'
ORDER BY 1
