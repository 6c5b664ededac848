-- administration/embedding_state
-- Which model documents are embedded with and moved to, and how many wait, failed, or have a vector of another model.
SELECT s.current_model_id, c.name AS current_model, s.next_model_id, n.name AS next_model,
       (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding') AS dimensions,
       (SELECT count(*) FROM documents WHERE embedding_status = 'pending') AS pending,
       (SELECT count(*) FROM documents WHERE embedding_status = 'failed') AS failed,
       (SELECT count(*) FROM documents d JOIN tenants t ON t.id = d.tenant_id AND t.status = 'active'
        LEFT JOIN embedding_attempts a ON a.tenant_id = d.tenant_id AND a.document_id = d.id
        WHERE d.embedding_status = 'pending' AND a.lease IS NULL) AS unattended,
       (SELECT count(*) FROM documents d WHERE d.embedding_status = 'embedded' AND d.embedding_model IS DISTINCT FROM c.name) AS foreign_documents,
       (SELECT count(*) FROM document_chunks WHERE embedding IS NULL) AS passages
FROM embedding_state s
LEFT JOIN embedding_models c ON c.id = s.current_model_id
LEFT JOIN embedding_models n ON n.id = s.next_model_id
