-- search/nearest
WITH best AS (
    SELECT DISTINCT ON (c.chunk_no - c.ordinal)
           c.chunk_no, c.ordinal, 1 - (c.embedding <=> $2::halfvec) AS similarity
    FROM document_chunks c
    WHERE c.tenant_id = $1::uuid AND c.embedding IS NOT NULL AND c.embedding_model_id = $3::smallint
      AND (NOT $5::boolean OR EXISTS (
          SELECT FROM documents d
          WHERE d.tenant_id = $1 AND d.id = c.document_id
            AND ($6::text IS NULL OR d.source = $6)
            AND ($7::jsonb IS NULL OR d.metadata @> $7)
            AND ($8::timestamptz IS NULL OR d.created_at >= $8)
            AND ($9::timestamptz IS NULL OR d.created_at < $9)
            AND ($10::text IS NULL OR d.language = $10)))
    ORDER BY c.chunk_no - c.ordinal, c.embedding <=> $2, c.chunk_no
)
SELECT chunk_no, chunk_no - ordinal AS first_chunk_no, similarity, count(*) OVER () AS matching_documents
FROM best
ORDER BY similarity DESC, first_chunk_no
LIMIT $4::integer
