-- diagnosis/dead_rows
-- Tables whose dead rows outnumber what cleaning up should leave.
SELECT s.relname::text AS subject, format('%s dead rows beside %s living ones', s.n_dead_tup, s.n_live_tup) AS detail
FROM pg_stat_user_tables s
WHERE s.schemaname = 'public' AND s.n_dead_tup > 100000 AND s.n_dead_tup > s.n_live_tup * 0.5
ORDER BY s.n_dead_tup DESC
