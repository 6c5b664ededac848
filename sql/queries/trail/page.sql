-- trail/page
-- One row at least, so that the seal is told where no row passes; both are of one snapshot. The bounds on
-- (completed_at, id) are those of idx_audit_logs_tenant_completed, which is read in its order and no further than asked for:
-- behind a COALESCE, which is not leakproof, row-level security would keep them from the index.
-- The last row of the page before is named by its call: ids count the calls of all tenants, so none goes into a cursor.
SELECT seal.sealed_until, page.*
FROM (SELECT audit_sealed_until() AS sealed_until) AS seal
LEFT JOIN (
    SELECT a.id, a.call_id, a."timestamp" AS started_at, a.completed_at, a.user_id, a.action, a.resource, a.resource_id,
           a.outcome, a.error_message, CASE WHEN length(a.details::text) <= 2000 THEN a.details END AS details,
           length(a.details::text) AS details_chars, a.user_agent, host(a.ip_address) AS ip_address, a.duration_ms
    FROM audit_logs a
    WHERE a.tenant_id = $1::uuid
      AND a.completed_at >= $2::timestamptz
      AND (a.completed_at, a.id) < ($3::timestamptz, (
              SELECT coalesce((
                  SELECT l.id FROM audit_logs l
                  WHERE l.tenant_id = $1::uuid AND l.completed_at = $3::timestamptz AND l.call_id = $4::uuid
                  ORDER BY l.id LIMIT 1
              ), '-9223372036854775808'::bigint)
          ))
      AND ($5::text IS NULL OR a.user_id = $5::text)
      AND ($6::text IS NULL OR a.action = $6::text)
      AND ($7::text IS NULL OR a.outcome = $7::text)
      AND ($8::boolean IS NULL OR a.success = $8::boolean)
      AND ($9::text IS NULL OR a.resource = $9::text)
    ORDER BY a.completed_at DESC, a.id DESC
    LIMIT $10::integer
) AS page ON true
ORDER BY page.completed_at DESC, page.id DESC
