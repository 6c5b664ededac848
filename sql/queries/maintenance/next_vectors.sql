-- maintenance/next_vectors
-- How many vectors of the next model a tenant has, counted no further than it matters.
SELECT count(*) AS vectors
FROM (SELECT FROM document_chunks WHERE tenant_id = $1::uuid AND next_embedding IS NOT NULL LIMIT $2::bigint) AS counted
