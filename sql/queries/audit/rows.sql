-- audit/rows
SELECT id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, resource_id, details::text,
       outcome, success, error_message, ip_address::text, user_agent, duration_ms
FROM audit_logs
WHERE id >= $1::bigint AND id <= $2::bigint
ORDER BY id
LIMIT $3::bigint
