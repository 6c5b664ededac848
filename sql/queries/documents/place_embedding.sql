-- documents/place_embedding
-- A vector for the whole document stands at its first chunk, and takes the place of the others'.
WITH placed AS (
    UPDATE document_chunks c
    SET embedding = CASE WHEN c.ordinal = 0 THEN l2_normalize($3::vector)::halfvec END,
        embedding_model_id = CASE WHEN c.ordinal = 0 THEN $4::smallint END
    WHERE c.tenant_id = $1::uuid AND c.document_id = $2::uuid
    RETURNING c.ordinal
)
SELECT count(*) AS chunks FROM placed
