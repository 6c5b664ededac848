-- audit/last_row_id
SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS last_id FROM audit_logs_id_seq
