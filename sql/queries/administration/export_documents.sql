-- administration/export_documents
-- In the order of their chunks' numbers, so that they stand in another database as they stood here.
SELECT d.id, d.title, d.content, d.source, d.metadata, d.language, d.created_at, d.updated_at, d.embedding_status, d.embedding_model,
       d.embedding, c.starts, c.ends, c.tokens, c.models, c.embeddings
FROM documents d
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(o.char_start), '{}') AS starts, coalesce(array_agg(o.char_end), '{}') AS ends,
           coalesce(array_agg(o.token_count), '{}') AS tokens, coalesce(array_agg(o.model), '{}') AS models,
           coalesce(array_agg(o.embedding), '{}') AS embeddings, min(o.chunk_no) AS first_chunk_no
    FROM (SELECT k.chunk_no, k.char_start, k.char_end, k.token_count, m.name AS model, k.embedding
          FROM document_chunks k LEFT JOIN embedding_models m ON m.id = k.embedding_model_id
          WHERE k.tenant_id = d.tenant_id AND k.document_id = d.id
          ORDER BY k.ordinal) AS o
) AS c
WHERE d.tenant_id = $1::uuid
ORDER BY c.first_chunk_no NULLS FIRST, d.id
