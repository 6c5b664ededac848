-- administration/table_sizes
-- Tables with all their partitions, what they keep elsewhere (TOAST) and their indexes, largest first. Rows are the planner's estimate.
SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS table_name,
       count(*) FILTER (WHERE c.relispartition) AS partitions,
       sum(greatest(c.reltuples, 0))::bigint AS row_count,
       sum(pg_stat_get_dead_tuples(c.oid))::bigint AS dead_row_count,
       sum(pg_table_size(c.oid))::bigint AS table_bytes,
       sum(pg_indexes_size(c.oid))::bigint AS index_bytes,
       pg_database_size(current_database()) AS database_bytes
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm')
GROUP BY 1
ORDER BY sum(pg_total_relation_size(c.oid)) DESC, 1
