-- diagnosis/slow_statements
-- What takes long on average, by the statements' own first line. The view is the extension's, where there is one.
SELECT left(coalesce(substring(s.query FROM '^-- (\S+)'), regexp_replace(s.query, '\s+', ' ', 'g')), 80) AS subject,
       format('%s ms on average, %s times', round(s.mean_exec_time::numeric), s.calls) AS detail
FROM pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.calls >= 20 AND s.mean_exec_time > 100
ORDER BY s.mean_exec_time DESC LIMIT 10
