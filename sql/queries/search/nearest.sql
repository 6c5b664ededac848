-- search/nearest
-- Planned anew each time, for the tenant's own index: db::TenantTransaction::query_planned.
SELECT n.chunk_no, n.ordinal, 1 - n.distance AS similarity
FROM (
    SELECT c.chunk_no, c.ordinal, c.embedding <=> $2::real[]::halfvec AS distance
    FROM document_chunks c
    WHERE c.tenant_id = $1::uuid AND c.embedding IS NOT NULL AND c.embedding_model_id = $3::smallint
      -- Asked once: a vector of a model that the database has moved on from finds nothing, and no error.
      AND (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'document_chunks'::regclass AND a.attname = 'embedding') = cardinality($2::real[])
      AND ($4::integer[] IS NULL OR c.chunk_no = ANY ($4))
      AND ($6::integer[] IS NULL OR c.chunk_no - c.ordinal = ANY ($6))
      AND ($7::integer[] IS NULL OR c.chunk_no - c.ordinal <> ALL ($7))
    -- By the distance alone, for PostgreSQL 16 takes an index for what it sorts wholly or not at all; so with all of the last ones that are equal.
    ORDER BY c.embedding <=> $2::real[]::halfvec
    FETCH FIRST ($5::bigint) ROWS WITH TIES
) AS n
ORDER BY n.distance, n.chunk_no
LIMIT $5
