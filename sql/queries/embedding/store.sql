-- embedding/store
-- A passage that is gone meanwhile is passed over: a number's text never changes.
WITH stored AS (
    UPDATE document_chunks c SET embedding = v.embedding, embedding_model_id = $4::smallint
    FROM unnest($2::integer[], $3::halfvec[]) AS v (chunk_no, embedding)
    WHERE c.tenant_id = $1::uuid AND c.chunk_no = v.chunk_no
      AND EXISTS (SELECT FROM embedding_state WHERE current_model_id = $4)
    RETURNING c.chunk_no
)
SELECT count(*) AS stored FROM stored
