-- documents/stored
-- For each place of the lists: the document of that very source and content, else up to two of the source and other content.
SELECT wanted.place::integer AS place, same.id AS same_id, same.title AS same_title, same.metadata AS same_metadata,
       same.language AS same_language, same.embedding_status AS same_embedding_status,
       (SELECT count(*) FROM document_chunks c WHERE c.tenant_id = $1::uuid AND c.document_id = same.id) AS same_chunks,
       CASE WHEN same.id IS NULL THEN ARRAY(
           SELECT d.id FROM documents d
           WHERE d.tenant_id = $1 AND d.source COLLATE "C" = wanted.source
           LIMIT 2
       ) END AS others
FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS wanted (source, content_sha256, place)
LEFT JOIN LATERAL (
    SELECT d.id, d.title, d.metadata, d.language, d.embedding_status
    FROM documents d
    WHERE d.tenant_id = $1 AND d.source COLLATE "C" = wanted.source AND d.content_sha256 = wanted.content_sha256
    ORDER BY d.created_at, d.id
    LIMIT 1
) AS same ON true
WHERE wanted.source IS NOT NULL
ORDER BY wanted.place
