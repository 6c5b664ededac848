-- documents/rewrite
-- A document's content and chunks in one statement; the setting tells the triggers that its chunks are cut already. A chunk
-- whose text was there before (kept: the number it had) brings its vector with it. Where all do, the document stays embedded.
WITH told AS MATERIALIZED (
    SELECT set_config('bailiwick.cut_document', $2::uuid::text, true) AS document
), gone AS (
    DELETE FROM document_chunks c WHERE c.tenant_id = $1::uuid AND c.document_id = $2
    RETURNING c.chunk_no, c.embedding, c.embedding_model_id
), numbers AS MATERIALIZED (
    -- Counted, so that all are gone before the first comes.
    SELECT allocate_chunk_numbers($1, cardinality($10::integer[])) AS first
    FROM (SELECT count(*) FROM gone) AS counted CROSS JOIN told
), cut AS (
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT $1, numbers.first + (chunk.place - 1)::integer, $2, (chunk.place - 1)::integer, chunk.char_start, chunk.char_end, chunk.token_count,
           CASE WHEN $8::vector IS NULL THEN gone.embedding WHEN chunk.place = 1 THEN l2_normalize($8)::halfvec END,
           CASE WHEN $8 IS NULL THEN gone.embedding_model_id WHEN chunk.place = 1 THEN $14::smallint END
    FROM numbers
    CROSS JOIN unnest($10, $11::integer[], $12::integer[], $13::integer[])
        WITH ORDINALITY AS chunk (char_start, char_end, token_count, kept, place)
    LEFT JOIN gone ON gone.chunk_no = chunk.kept
    RETURNING embedding, embedding_model_id
), state AS (
    SELECT bool_and(embedding IS NOT NULL) AND count(DISTINCT embedding_model_id) = 1 AS is_whole, l2_normalize(avg(embedding))::vector AS mean
    FROM cut
)
UPDATE documents d
SET title = $3::text, content = $4::text, source = $5::text, metadata = $6::jsonb, language = $7::text,
    embedding = CASE WHEN $8 IS NOT NULL THEN $8 WHEN state.is_whole THEN state.mean END,
    embedding_model = CASE WHEN $8 IS NOT NULL THEN $9::text WHEN state.is_whole THEN d.embedding_model END,
    embedding_status = CASE WHEN $8 IS NOT NULL OR state.is_whole THEN 'embedded' ELSE 'pending' END
FROM state
WHERE d.tenant_id = $1 AND d.id = $2
RETURNING d.updated_at, d.embedding_status
