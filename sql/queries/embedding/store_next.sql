-- embedding/store_next
-- Vectors of the next model beside those that are searched, and the mean for each document that has all of its own. The mean reads
-- what stood before this statement, so the batch's own are added to it.
WITH batch AS (
    SELECT v.chunk_no, v.embedding FROM unnest($2::integer[], $3::halfvec[]) AS v (chunk_no, embedding)
    WHERE EXISTS (SELECT FROM embedding_state WHERE next_model_id = $4::smallint)
), stored AS (
    UPDATE document_chunks c SET next_embedding = batch.embedding, next_embedding_model_id = $4
    FROM batch
    WHERE c.tenant_id = $1::uuid AND c.chunk_no = batch.chunk_no
    RETURNING c.chunk_no
), means AS (
    SELECT c.document_id, l2_normalize(avg(coalesce(batch.embedding, c.next_embedding)::vector)) AS mean
    FROM document_chunks c LEFT JOIN batch ON batch.chunk_no = c.chunk_no
    WHERE c.tenant_id = $1 AND c.document_id = ANY ($5::uuid[])
    GROUP BY c.document_id
    HAVING bool_and(coalesce(batch.embedding, c.next_embedding) IS NOT NULL)
), whole AS (
    UPDATE documents d SET next_embedding = means.mean, next_embedding_model = $6::text
    FROM means WHERE d.tenant_id = $1 AND d.id = means.document_id
    RETURNING d.id
)
SELECT count(*) AS stored FROM stored
