-- audit/months_before
SELECT to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*) AS row_count,
       count(*) FILTER (WHERE id > $2::bigint) AS unsealed_count,
       count(*) FILTER (WHERE tableoid = 'audit_logs_default'::regclass) AS default_count
FROM audit_logs
WHERE "timestamp" < $1::timestamptz
GROUP BY 1
ORDER BY 1
