-- embedding/settle
-- Documents whose every passage has its vector are embedded; the others stay claimed a while longer.
-- Each batch asks of all that are claimed: only of those that have all vectors is the mean made.
WITH whole AS MATERIALIZED (
    SELECT d.id FROM documents d
    WHERE d.tenant_id = $1::uuid AND d.id = ANY ($2::uuid[]) AND d.embedding_status = 'pending'
      AND NOT EXISTS (
          SELECT FROM document_chunks c WHERE c.tenant_id = $1 AND c.document_id = d.id
            AND (c.embedding IS NULL OR c.embedding_model_id IS DISTINCT FROM $3::smallint)
      )
), means AS (
    SELECT c.document_id, l2_normalize(avg(c.embedding::vector)) AS mean
    FROM whole JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = whole.id
    GROUP BY c.document_id
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
