-- diagnosis/long_transactions
-- Transactions that keep cleaning up, and everything that needs a strong lock, waiting.
SELECT format('process %s', a.pid) AS subject,
       format('%s of %s has been in one transaction since %s', coalesce(nullif(a.application_name, ''), 'a session'), a.usename, a.xact_start::timestamptz(0)) AS detail
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.xact_start < now() - interval '1 hour'
  AND a.backend_type = 'client backend'
ORDER BY a.xact_start
