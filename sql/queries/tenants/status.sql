-- tenants/status
SELECT t.slug, t.name, u.chunk_count,
       (SELECT count(*) FROM documents d WHERE d.tenant_id = $1::uuid AND d.embedding_status = 'pending') AS pending_documents,
       (SELECT count(*) FROM documents d WHERE d.tenant_id = $1 AND d.embedding_status = 'failed') AS failed_documents,
       (SELECT count(*) FROM fresh_postings f WHERE f.tenant_id = $1) AS fresh_chunks,
       (SELECT count(*) FROM chunk_tombstones d WHERE d.tenant_id = $1) AS deleted_chunks,
       s.merged_at,
       (SELECT i.indisvalid FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relname = 'hnsw_' || replace($1::text, '-', '') AND c.relnamespace = 'public'::regnamespace) AS has_vector_index,
       f.as_of AS statistics_as_of
FROM tenants t
JOIN tenant_usage u ON u.tenant_id = t.id
LEFT JOIN index_state s ON s.tenant_id = t.id
LEFT JOIN current_tenant_statistics() AS f ON true
WHERE t.id = $1 AND u.tenant_id = $1
