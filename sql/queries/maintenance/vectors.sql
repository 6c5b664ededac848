-- maintenance/vectors
SELECT count(*) AS vectors FROM document_chunks WHERE tenant_id = $1::uuid AND embedding IS NOT NULL
