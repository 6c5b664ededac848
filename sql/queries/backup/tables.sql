-- backup/tables
-- Every table with its partitions' bytes, the largest first.
SELECT c.relname::text AS name,
       (SELECT sum(pg_table_size(p.relid)) FROM pg_partition_tree(c.oid) p WHERE p.isleaf)::bigint AS bytes
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 2 DESC NULLS LAST, 1
