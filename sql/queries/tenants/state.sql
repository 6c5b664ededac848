-- tenants/state
SELECT t.status, t.settings, t.audit_key, u.chunk_count
FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id
WHERE t.id = $1::uuid AND u.tenant_id = $1
