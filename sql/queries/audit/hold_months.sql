-- audit/hold_months
-- Whoever writes to other months, or reads, goes on.
SELECT hold_month_partitions('audit_logs', $1::text::date) AS held
