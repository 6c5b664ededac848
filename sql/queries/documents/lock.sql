-- documents/lock
-- The document as it is, held against other writers; its content only where it is asked for.
SELECT d.title, d.source, d.metadata, d.language, d.updated_at, d.embedding_status, d.content_sha256,
       octet_length(d.title) + octet_length(d.content) AS storage_bytes,
       CASE WHEN $3::boolean THEN d.content END AS content
FROM documents d
WHERE d.tenant_id = $1::uuid AND d.id = $2::uuid
FOR UPDATE
