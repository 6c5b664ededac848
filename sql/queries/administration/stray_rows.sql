-- administration/stray_rows
-- Rows without a partition for their month.
SELECT (SELECT count(*) FROM audit_logs_default) AS audit_logs, (SELECT count(*) FROM cost_tracking_default) AS cost_tracking
