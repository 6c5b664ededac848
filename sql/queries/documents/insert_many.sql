-- documents/insert_many
-- One statement, as documents/insert: the triggers find the documents' chunks already there, and their terms. Those take most of the
-- time, so they come first, and the lock of the tenant's numbers after them. The lists $9 to $13 and $16 are of all chunks, those of a
-- document together and in order; $9 is the place of their document, $16 their texts.
WITH given AS MATERIALIZED (
    SELECT d.*, document_facets(d.source, d.language, d.metadata) AS facets
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::vector[])
        WITH ORDINALITY AS d (id, title, content, source, metadata, language, embedding, place)
), entries AS MATERIALIZED (
    SELECT chunk.ordinal, chunk.char_start, chunk.char_end, chunk.token_count, chunk.place, given.id, given.embedding,
           entry.length, entry.terms
    FROM unnest($9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::integer[], $16::text[])
        WITH ORDINALITY AS chunk (document, ordinal, char_start, char_end, token_count, passage, place)
    JOIN given ON given.place = chunk.document
    CROSS JOIN LATERAL chunk_entry(given.language, given.title, chunk.passage, given.facets) AS entry
), numbers AS MATERIALIZED (
    -- All terms are made before the lock is taken, for they are its arguments.
    SELECT index_ahead($1::uuid, array_agg(e.ordinal ORDER BY e.place), array_agg(e.length ORDER BY e.place),
                       array_agg(e.terms ORDER BY e.place)) AS first
    FROM entries e HAVING count(*) > 0
), stored AS (
    INSERT INTO documents (tenant_id, id, title, content, source, metadata, language, embedding, embedding_model, embedding_status)
    SELECT $1, id, title, content, source, metadata, language, embedding,
           CASE WHEN embedding IS NOT NULL THEN $15::text END,
           CASE WHEN embedding IS NOT NULL THEN 'embedded' ELSE 'pending' END
    FROM given ORDER BY place
    RETURNING id
), cut AS (
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT $1, numbers.first + (e.place - 1)::integer, e.id, e.ordinal, e.char_start, e.char_end, e.token_count,
           -- A vector for the whole document stands at its first chunk.
           CASE WHEN e.ordinal = 0 THEN l2_normalize(e.embedding)::halfvec END,
           CASE WHEN e.ordinal = 0 AND e.embedding IS NOT NULL THEN $14::smallint END
    FROM entries e CROSS JOIN numbers
)
SELECT count(*) AS documents, (SELECT count(*) FROM entries) AS chunks FROM stored
