-- audit/retire
SELECT drop_month_partitions('audit_logs', $1::text::date) AS dropped
