-- search/passing
-- The chunks, of those given or of all, whose documents pass the filter.
SELECT c.chunk_no
FROM documents d
JOIN document_chunks c ON c.tenant_id = $1::uuid AND c.document_id = d.id
WHERE d.tenant_id = $1
  AND ($2::integer[] IS NULL OR c.chunk_no = ANY ($2))
  AND ($3::text IS NULL OR d.source COLLATE "C" = $3)
  AND ($4::jsonb IS NULL OR d.metadata @> $4)
  AND ($5::timestamptz IS NULL OR d.created_at >= $5)
  AND ($6::timestamptz IS NULL OR d.created_at < $6)
  AND ($7::text IS NULL OR d.language = $7)
