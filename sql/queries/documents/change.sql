-- documents/change
-- All but the content. Triggers give the chunks new numbers, with their vectors, where terms or facets change.
UPDATE documents d
SET title = $3::text, source = $4::text, metadata = $5::jsonb, language = $6::text,
    embedding = CASE WHEN $7::vector IS NULL THEN d.embedding ELSE $7 END,
    embedding_model = CASE WHEN $7 IS NULL THEN d.embedding_model ELSE $8::text END,
    embedding_status = CASE WHEN $7 IS NULL THEN d.embedding_status ELSE 'embedded' END
WHERE d.tenant_id = $1::uuid AND d.id = $2::uuid
RETURNING d.updated_at, d.embedding_status
