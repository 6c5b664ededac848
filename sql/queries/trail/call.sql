-- trail/call
-- The page of one call's row, which the primary key finds between the two moments that the call's id admits as its start.
WITH named AS MATERIALIZED (
    SELECT * FROM audit_logs a
    WHERE a.tenant_id = $1::uuid AND a.call_id = $11::uuid
      AND a."timestamp" >= $12::timestamptz AND a."timestamp" <= $13::timestamptz
    -- The key's order, so that no other index will do, however small the table was when this was planned.
    ORDER BY a."timestamp"
)
SELECT seal.sealed_until, page.*
FROM (SELECT audit_sealed_until() AS sealed_until) AS seal
LEFT JOIN (
    SELECT a.id, a.call_id, a."timestamp" AS started_at, a.completed_at, a.user_id, a.action, a.resource, a.resource_id,
           a.outcome, a.error_message, CASE WHEN length(a.details::text) <= 2000 THEN a.details END AS details,
           length(a.details::text) AS details_chars, a.user_agent, host(a.ip_address) AS ip_address, a.duration_ms
    FROM named a
    WHERE a.completed_at >= $2::timestamptz
      AND (a.completed_at, a.id) < ($3::timestamptz, coalesce((
              SELECT l.id FROM named l WHERE l.completed_at = $3::timestamptz AND l.call_id = $4::uuid ORDER BY l.id LIMIT 1
          ), '-9223372036854775808'::bigint))
      AND ($5::text IS NULL OR a.user_id = $5::text)
      AND ($6::text IS NULL OR a.action = $6::text)
      AND ($7::text IS NULL OR a.outcome = $7::text)
      AND ($8::boolean IS NULL OR a.success = $8::boolean)
      AND ($9::text IS NULL OR a.resource = $9::text)
    ORDER BY a.completed_at DESC, a.id DESC
    LIMIT $10::integer
) AS page ON true
ORDER BY page.completed_at DESC, page.id DESC
