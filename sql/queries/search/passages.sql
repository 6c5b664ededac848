-- search/passages
SELECT c.chunk_no, d.id AS document_id, d.title, d.source, d.metadata, d.language,
       substr(d.content, c.char_start + 1, c.char_end - c.char_start) AS passage
FROM unnest($2::integer[]) WITH ORDINALITY AS wanted (chunk_no, place)
JOIN document_chunks c ON c.tenant_id = $1::uuid AND c.chunk_no = wanted.chunk_no
JOIN documents d ON d.tenant_id = $1 AND d.id = c.document_id
ORDER BY wanted.place
