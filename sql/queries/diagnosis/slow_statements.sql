-- diagnosis/slow_statements
-- What somebody waits for and takes long on average: statements of ours, by their own first line (which PostgreSQL 18 leaves out), and
-- whatever else the application runs. Left out is what goes through whole tables by its nature (checks, backups, upkeep), and utilities,
-- which COPY is.
SELECT left(coalesce(substring(s.query FROM '^-- (\S+)'), regexp_replace(s.query, '\s+', ' ', 'g')), 80) AS subject,
       format('%s ms on average, %s times', round(s.mean_exec_time::numeric), s.calls) AS detail
FROM pg_stat_statements s
WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND s.calls >= 20 AND s.mean_exec_time > 100
  AND CASE WHEN s.query ~ '^-- [a-z_]+/[a-z_]+' THEN s.query !~ '^-- (administration|audit|backup|diagnosis|maintenance)/'
           ELSE s.userid = to_regrole('bailiwick_app')::oid AND s.query ~* '^\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH)\M' END
ORDER BY s.mean_exec_time DESC LIMIT 10
