-- backup/leaves
-- Every table that has rows of its own, as pg_dump names it, with its bytes.
SELECT c.relname::text AS name, pg_table_size(c.oid) AS bytes
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
