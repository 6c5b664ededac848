-- audit/unsealed
SELECT count(*) AS row_count,
       count(*) FILTER (WHERE completed_at < clock_timestamp() - interval '10 minutes') AS overdue_count,
       min(id) FILTER (WHERE id > (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_logs_id_seq)) AS foreign_id
FROM audit_logs
WHERE id > $1::bigint
