-- documents/chunks
SELECT c.chunk_no, c.char_start, c.char_end, c.embedding IS NOT NULL AS has_vector
FROM document_chunks c
WHERE c.tenant_id = $1::uuid AND c.document_id = $2::uuid
ORDER BY c.ordinal
