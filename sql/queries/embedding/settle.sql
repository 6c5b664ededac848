-- embedding/settle
-- Documents whose every passage has its vector are embedded; the others stay claimed a while longer.
WITH means AS (
    SELECT c.document_id, l2_normalize(avg(c.embedding::vector)) AS mean
    FROM document_chunks c
    WHERE c.tenant_id = $1::uuid AND c.document_id = ANY ($2::uuid[])
    GROUP BY c.document_id
    HAVING bool_and(c.embedding IS NOT NULL AND c.embedding_model_id = $3::smallint)
), embedded AS (
    UPDATE documents d SET embedding = means.mean, embedding_model = $4::text, embedding_status = 'embedded'
    FROM means
    WHERE d.tenant_id = $1 AND d.id = means.document_id AND d.embedding_status = 'pending'
      AND EXISTS (SELECT FROM embedding_state WHERE current_model_id = $3)
    RETURNING d.id
), done AS (
    DELETE FROM embedding_attempts a USING embedded WHERE a.tenant_id = $1 AND a.document_id = embedded.id
), kept AS (
    UPDATE embedding_attempts a SET due_at = clock_timestamp() + make_interval(secs => $5::double precision), error = NULL
    WHERE a.tenant_id = $1 AND a.document_id = ANY ($2) AND a.document_id NOT IN (SELECT id FROM embedded)
)
SELECT coalesce(array_agg(id), '{}') AS embedded FROM embedded
