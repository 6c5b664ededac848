-- embedding/next_passages
-- Passages without a vector of the next model, but for some that have none by that model. The newest first: what comes meanwhile is never the last to be seen.
SELECT c.chunk_no, c.document_id, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start) AS passage
FROM document_chunks c
JOIN documents d ON d.tenant_id = $1::uuid AND d.id = c.document_id
WHERE c.tenant_id = $1 AND c.next_embedding IS NULL AND c.chunk_no <> ALL ($3::integer[])
ORDER BY c.chunk_no DESC
LIMIT $2::bigint
