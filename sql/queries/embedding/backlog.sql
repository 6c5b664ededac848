-- embedding/backlog
-- Of what was written by a moment: documents that wait for their embedding, and those written since another that were given up;
-- what most of them ended with last, and whether anything is embedded here at all.
WITH late AS (
    SELECT d.id, d.embedding_status, d.updated_at FROM documents d
    WHERE d.tenant_id = $1::uuid AND d.embedding_status <> 'embedded' AND d.updated_at <= $3::timestamptz
      AND (d.embedding_status = 'pending' OR d.updated_at >= $2::timestamptz)
)
SELECT count(*) FILTER (WHERE late.embedding_status = 'pending') AS pending,
       count(*) FILTER (WHERE late.embedding_status = 'failed') AS failed,
       (SELECT mode() WITHIN GROUP (ORDER BY a.error) FROM embedding_attempts a
        WHERE a.tenant_id = $1 AND a.error IS NOT NULL AND a.document_id IN (SELECT l.id FROM late l)) AS error,
       EXISTS (SELECT FROM embedding_state s WHERE s.current_model_id IS NOT NULL) AS is_embedded
FROM late
