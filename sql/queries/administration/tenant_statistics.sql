-- administration/tenant_statistics
-- Every tenant with its figures, if it was active when they were counted. As the role that counts, which sees all tenants.
SELECT t.slug, t.name, t.status, s.document_count, s.embedded_documents, s.total_size_mb, s.last_document_created, s.monthly_cost, s.as_of
FROM tenants t LEFT JOIN tenant_statistics s ON s.tenant_id = t.id
ORDER BY t.slug
