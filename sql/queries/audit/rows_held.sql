-- audit/rows_held
-- Rows of a month that are among those ids.
SELECT count(*) AS held
FROM audit_logs
WHERE "timestamp" >= $1::timestamptz AND "timestamp" < $2::timestamptz AND id <@ $3::text::int8multirange
