-- embedding/progress
-- How far some documents are: passages with a vector, of all, documents that still wait, and those that were given up.
SELECT count(*) FILTER (WHERE c.embedding IS NOT NULL) AS embedded, count(*) AS passages,
       count(DISTINCT d.id) FILTER (WHERE d.embedding_status = 'pending') AS pending,
       count(DISTINCT d.id) FILTER (WHERE d.embedding_status = 'failed') AS failed
FROM documents d
LEFT JOIN document_chunks c ON c.tenant_id = $1::uuid AND c.document_id = d.id
WHERE d.tenant_id = $1 AND d.id = ANY ($2::uuid[])
