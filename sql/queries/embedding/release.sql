-- embedding/release
-- After a failure: documents wait longer each time, and at last are given up. A fault of the service counts for none of them.
WITH tried AS (
    UPDATE embedding_attempts a
    SET error = $3::text, lease = NULL, attempts = a.attempts - $4::integer,
        due_at = clock_timestamp() + make_interval(secs => $5::double precision * CASE WHEN $4 > 0 THEN 1 ELSE 2 ^ least(a.attempts - 1, 10) END)
    WHERE a.tenant_id = $1::uuid AND a.document_id = ANY ($2::uuid[])
    RETURNING a.document_id, a.attempts
), failed AS (
    UPDATE documents d SET embedding_status = 'failed'
    FROM tried
    WHERE d.tenant_id = $1 AND d.id = tried.document_id AND tried.attempts >= $6::integer AND d.embedding_status = 'pending'
    RETURNING d.id
)
SELECT count(*) AS failed FROM failed
