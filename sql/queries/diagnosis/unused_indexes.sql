-- diagnosis/unused_indexes
-- Large indexes that nobody asked in a week of counting. Those that keep keys unique have their use.
SELECT s.indexrelname::text AS subject,
       format('%s on %s, not asked once since %s', pg_size_pretty(pg_relation_size(s.indexrelid)), s.relname, d.stats_reset::date) AS detail
FROM pg_stat_user_indexes s
JOIN pg_index i ON i.indexrelid = s.indexrelid AND NOT i.indisunique
JOIN pg_stat_database d ON d.datname = current_database() AND d.stats_reset < now() - interval '7 days'
WHERE s.schemaname = 'public' AND s.idx_scan = 0 AND pg_relation_size(s.indexrelid) > 16 << 20
ORDER BY pg_relation_size(s.indexrelid) DESC LIMIT 20
