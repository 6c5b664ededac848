-- demo/trail
SELECT t.slug AS tenant, a.action, a.resource, a.outcome, a.error_message AS error,
       count(*) AS rows, avg(a.duration_ms)::double precision AS mean_ms
FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id
WHERE a.user_id = $1::text
GROUP BY t.slug, a.action, a.resource, a.outcome, a.error_message
ORDER BY t.slug, a.action, a.resource, a.outcome
