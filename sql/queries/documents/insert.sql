-- documents/insert
-- One statement, so that the document's triggers find its chunks already there.
WITH stored AS (
    INSERT INTO documents (tenant_id, id, title, content, source, metadata, language, embedding, embedding_model, embedding_status)
    VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::text, $6::jsonb, $7::text, $8::vector, $9::text, $10::text)
    RETURNING id, embedding
), numbers AS MATERIALIZED (
    SELECT allocate_chunk_numbers($1, cardinality($12::integer[])) AS first
), cut AS (
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT $1, numbers.first + (place - 1)::integer, stored.id, (place - 1)::integer, char_start, char_end, token_count,
           -- A vector for the whole document stands at its first chunk.
           CASE WHEN place = 1 THEN l2_normalize(stored.embedding)::halfvec END,
           CASE WHEN place = 1 AND stored.embedding IS NOT NULL THEN $11::smallint END
    FROM unnest($12, $13::integer[], $14::integer[]) WITH ORDINALITY AS chunk (char_start, char_end, token_count, place)
    CROSS JOIN numbers CROSS JOIN stored
)
SELECT id FROM stored
