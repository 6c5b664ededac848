-- documents/read
-- A document with a stretch of its text: passage $3, or characters $4 to $5; at most $6 characters of it.
SELECT d.title, d.source, d.metadata, d.language, d.embedding_status, d.created_at, d.updated_at,
       length(d.content) AS content_chars, counted.passages, c.ordinal AS passage, stretch.char_start, stretch.char_end,
       substr(d.content, stretch.char_start + 1, greatest(least(stretch.char_end - stretch.char_start, $6::integer), 0)) AS content
FROM documents d
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS passages FROM document_chunks o WHERE o.tenant_id = $1::uuid AND o.document_id = d.id
) AS counted
LEFT JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id AND c.ordinal = $3::integer
CROSS JOIN LATERAL (
    SELECT coalesce(c.char_start, $4::integer) AS char_start, coalesce(c.char_end, least($5::integer, length(d.content))) AS char_end
) AS stretch
WHERE d.tenant_id = $1 AND d.id = $2::uuid
