-- administration/tenant_statistics
-- The row of the transaction's tenant, if it was active when it was counted.
SELECT s.document_count, s.embedded_documents, s.total_size_mb, s.last_document_created, s.monthly_cost, s.as_of
FROM current_tenant_statistics() AS s
