-- administration/failed_embeddings
-- Documents that were given up, by tenant, with the error that most of them ended with.
SELECT t.slug, count(*) AS documents, coalesce(mode() WITHIN GROUP (ORDER BY a.error), 'unknown') AS error
FROM documents d
JOIN tenants t ON t.id = d.tenant_id
LEFT JOIN embedding_attempts a ON a.tenant_id = d.tenant_id AND a.document_id = d.id
WHERE d.embedding_status = 'failed'
GROUP BY t.slug ORDER BY t.slug
