-- administration/list_tenants
SELECT t.id, t.slug, t.name, t.status, t.monthly_budget_usd, t.max_documents, t.max_storage_mb,
       u.document_count, u.storage_bytes
FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id
ORDER BY t.slug
