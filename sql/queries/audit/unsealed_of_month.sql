-- audit/unsealed_of_month
SELECT count(*) AS row_count
FROM audit_logs
WHERE id > $1::bigint AND "timestamp" >= $2::timestamptz AND "timestamp" < $3::timestamptz
