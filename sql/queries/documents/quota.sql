-- documents/quota
SELECT u.document_count, u.storage_bytes, t.max_documents, t.max_storage_mb
FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id
WHERE t.id = $1::uuid
