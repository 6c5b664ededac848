-- embedding/passages
-- The first passages of some documents that have no vector of the model yet.
SELECT c.chunk_no, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start) AS passage
FROM document_chunks c
JOIN documents d ON d.tenant_id = $1::uuid AND d.id = c.document_id
WHERE c.tenant_id = $1 AND c.document_id = ANY ($2::uuid[])
  AND (c.embedding IS NULL OR c.embedding_model_id <> $3::smallint)
ORDER BY c.chunk_no
LIMIT $4::bigint
