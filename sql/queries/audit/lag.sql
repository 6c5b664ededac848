-- audit/lag
SELECT coalesce(greatest(extract(epoch FROM clock_timestamp() - min(completed_at)), 0), 0)::float8 AS lag_s
FROM audit_logs
WHERE id > $1::bigint
