-- documents/insert_many
-- One statement, as documents/insert: the triggers find the documents' chunks already there. The lists $9 to $13 are of all
-- chunks, those of a document together and in order; $9 is the place of their document.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::vector[])
        WITH ORDINALITY AS d (id, title, content, source, metadata, language, embedding, place)
), stored AS (
    INSERT INTO documents (tenant_id, id, title, content, source, metadata, language, embedding, embedding_model, embedding_status)
    SELECT $1::uuid, id, title, content, source, metadata, language, embedding,
           CASE WHEN embedding IS NOT NULL THEN $15::text END,
           CASE WHEN embedding IS NOT NULL THEN 'embedded' ELSE 'pending' END
    FROM given ORDER BY place
    RETURNING id
), numbers AS MATERIALIZED (
    SELECT allocate_chunk_numbers($1, cardinality($9::integer[])) AS first
), cut AS (
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT $1, numbers.first + (chunk.place - 1)::integer, given.id, chunk.ordinal, chunk.char_start, chunk.char_end, chunk.token_count,
           -- A vector for the whole document stands at its first chunk.
           CASE WHEN chunk.ordinal = 0 THEN l2_normalize(given.embedding)::halfvec END,
           CASE WHEN chunk.ordinal = 0 AND given.embedding IS NOT NULL THEN $14::smallint END
    FROM unnest($9, $10::integer[], $11::integer[], $12::integer[], $13::integer[])
        WITH ORDINALITY AS chunk (document, ordinal, char_start, char_end, token_count, place)
    JOIN given ON given.place = chunk.document
    CROSS JOIN numbers
)
SELECT count(*) AS documents FROM stored
