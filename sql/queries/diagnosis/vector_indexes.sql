-- diagnosis/vector_indexes
-- Tenants with so many passages that maintenance should have made them a vector index, and has not.
SELECT t.slug AS subject, format('%s passages and no vector index: each search compares them all', u.chunk_count) AS detail
FROM tenant_usage u
JOIN tenants t ON t.id = u.tenant_id
WHERE u.chunk_count >= 8000 AND to_regclass('hnsw_' || replace(u.tenant_id::text, '-', '')) IS NULL
  AND EXISTS (SELECT FROM document_chunks c WHERE c.tenant_id = u.tenant_id AND c.embedding IS NOT NULL OFFSET 4000)
ORDER BY u.chunk_count DESC
