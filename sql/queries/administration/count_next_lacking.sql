-- administration/count_next_lacking
-- Passages without a vector of the next model, by tenant; of active tenants alone.
SELECT c.tenant_id, count(*) AS passages
FROM document_chunks c JOIN tenants t ON t.id = c.tenant_id
WHERE c.next_embedding IS NULL AND t.status = 'active'
GROUP BY c.tenant_id
