-- diagnosis/unused_indexes
-- Large indexes that nobody asked in a week of counting. Those that keep keys unique have their use, tenants' vector indexes come and go by
-- themselves, and those of the migrations are left out by their names.
SELECT s.indexrelname::text AS subject,
       format('%s on %s, %s', pg_size_pretty(pg_relation_size(s.indexrelid)), s.relname,
              coalesce('last asked ' || s.last_idx_scan::date, 'not asked once since ' || counted.since::date)) AS detail
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid AND NOT i.indisunique
JOIN pg_stat_database d ON d.datname = current_database()
-- Until somebody resets them statistics have no beginning; a start of the server is never before it.
CROSS JOIN LATERAL (SELECT coalesce(d.stats_reset, pg_postmaster_start_time()) AS since) AS counted
WHERE s.schemaname = 'public' AND s.indexrelname NOT LIKE 'hnsw\_%' AND pg_relation_size(s.indexrelid) > 16 << 20
  AND counted.since < now() - interval '7 days' AND coalesce(s.last_idx_scan < now() - interval '30 days', s.idx_scan = 0)
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = s.indexrelid)
ORDER BY pg_relation_size(s.indexrelid) DESC
