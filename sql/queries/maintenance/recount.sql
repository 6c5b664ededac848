-- maintenance/recount
-- The index as it should be: each live chunk's terms, counted anew from its document.
SELECT c.chunk_no, c.ordinal, entry.length, entry.terms
FROM documents d
JOIN document_chunks c ON c.tenant_id = $1::uuid AND c.document_id = d.id
CROSS JOIN LATERAL chunk_entry(d.language, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start),
                               document_facets(d.source, d.language, d.metadata)) AS entry
WHERE d.tenant_id = $1 AND c.chunk_no > $2::integer
ORDER BY c.chunk_no
LIMIT 2000
