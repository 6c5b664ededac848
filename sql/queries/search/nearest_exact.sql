-- search/nearest_exact
-- The same without an index: adding 0 keeps the order and hides it from the planner.
SELECT c.chunk_no, c.ordinal, 1 - (c.embedding <=> $2::real[]::halfvec) AS similarity
FROM document_chunks c
WHERE c.tenant_id = $1::uuid AND c.embedding IS NOT NULL AND c.embedding_model_id = $3::smallint
  -- Asked once: a vector of a model that the database has moved on from finds nothing, and no error.
  AND (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'document_chunks'::regclass AND a.attname = 'embedding') = cardinality($2::real[])
  AND ($4::integer[] IS NULL OR c.chunk_no = ANY ($4))
  AND ($6::integer[] IS NULL OR c.chunk_no - c.ordinal = ANY ($6))
  AND ($7::integer[] IS NULL OR c.chunk_no - c.ordinal <> ALL ($7))
ORDER BY (c.embedding <=> $2::real[]::halfvec) + 0, c.chunk_no
LIMIT $5::bigint
