-- embedding/claim
-- Documents that wait, for this server for a while. Two servers that look at once take different ones; should one look a moment
-- later it finds them locked, or their time not come.
WITH current AS (
    SELECT FROM embedding_state WHERE current_model_id = $2::smallint
), leases AS MATERIALIZED (
    SELECT DISTINCT lease FROM embedding_attempts WHERE tenant_id = $1::uuid AND due_at > clock_timestamp() AND lease IS NOT NULL
), dead AS MATERIALIZED (
    -- Its server holds the lock while it lives.
    SELECT lease FROM leases WHERE pg_try_advisory_xact_lock(lease)
), due AS (
    SELECT d.id FROM documents d
    LEFT JOIN embedding_attempts a ON a.tenant_id = $1 AND a.document_id = d.id
    WHERE d.tenant_id = $1 AND d.embedding_status = 'pending'
      AND (a.due_at IS NULL OR a.due_at <= clock_timestamp() OR a.lease IN (SELECT dead.lease FROM dead))
      AND EXISTS (SELECT FROM current)
    ORDER BY d.created_at, d.id LIMIT $3::bigint
    FOR NO KEY UPDATE OF d SKIP LOCKED
), claimed AS (
    INSERT INTO embedding_attempts AS a (tenant_id, document_id, attempts, due_at, lease)
    SELECT $1, due.id, 1, clock_timestamp() + make_interval(secs => $4::double precision), $5::bigint FROM due
    ON CONFLICT (tenant_id, document_id) DO UPDATE SET attempts = a.attempts + 1, due_at = excluded.due_at, lease = excluded.lease
    WHERE a.due_at <= clock_timestamp() OR a.lease IN (SELECT dead.lease FROM dead)
    RETURNING a.document_id, a.attempts
)
SELECT coalesce(array_agg(document_id), '{}') AS document_ids, coalesce(array_agg(attempts), '{}') AS attempts,
       EXISTS (SELECT FROM current) AS is_current
FROM claimed
