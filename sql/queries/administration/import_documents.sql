-- administration/import_documents
-- One statement, as documents/insert: the triggers find the documents' chunks already there. The lists $13 to $19 are of all
-- chunks, those of a document together and in order; $13 is the place of their document.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::timestamptz[], $9::timestamptz[],
                         $10::text[], $11::text[], $12::vector[])
        WITH ORDINALITY AS d (id, title, content, source, metadata, language, created_at, updated_at, embedding_status, embedding_model, embedding, place)
), stored AS (
    INSERT INTO documents (tenant_id, id, title, content, source, metadata, language, created_at, updated_at, embedding_status, embedding_model, embedding)
    SELECT $1::uuid, id, title, content, source, metadata, language, created_at, updated_at, embedding_status, embedding_model, embedding
    FROM given ORDER BY place
    RETURNING id
), numbers AS MATERIALIZED (
    SELECT allocate_chunk_numbers($1, cardinality($13::integer[])) AS first
), cut AS (
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT $1, numbers.first + (chunk.place - 1)::integer, given.id, chunk.ordinal, chunk.char_start, chunk.char_end, chunk.token_count,
           chunk.embedding, chunk.model_id
    FROM unnest($13, $14::integer[], $15::integer[], $16::integer[], $17::integer[], $18::halfvec[], $19::smallint[])
        WITH ORDINALITY AS chunk (document, ordinal, char_start, char_end, token_count, embedding, model_id, place)
    JOIN given ON given.place = chunk.document
    CROSS JOIN numbers
)
SELECT count(*) AS documents FROM stored
