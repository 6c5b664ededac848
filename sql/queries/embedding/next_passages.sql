-- embedding/next_passages
-- Passages without a vector of the next model, but for some that have none by that model, and those that are longer than it reads, which
-- are cut anew after the switch. The newest first: what comes meanwhile is never the last to be seen.
SELECT c.chunk_no, c.document_id, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start) AS passage
FROM document_chunks c
JOIN documents d ON d.tenant_id = $1::uuid AND d.id = c.document_id
WHERE c.tenant_id = $1 AND c.next_embedding IS NULL AND c.chunk_no <> ALL ($3::integer[])
  AND (c.token_count > $4::integer) IS NOT TRUE
ORDER BY c.chunk_no DESC
LIMIT $2::bigint
