-- diagnosis/vector_indexes
-- Tenants with so many vectors that maintenance makes them an index (`PROMOTE_AT_VECTORS`), and has not even begun one.
SELECT t.slug AS subject, format('%s passages and no vector index: each search compares them all', u.chunk_count) AS detail
FROM tenant_usage u
JOIN tenants t ON t.id = u.tenant_id
WHERE u.chunk_count >= 2000 AND to_regclass('hnsw_' || replace(u.tenant_id::text, '-', '')) IS NULL
  AND EXISTS (SELECT FROM document_chunks c WHERE c.tenant_id = u.tenant_id AND c.embedding IS NOT NULL OFFSET 1999)
ORDER BY u.chunk_count DESC
