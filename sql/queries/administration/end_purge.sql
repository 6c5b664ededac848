-- administration/end_purge
-- The tenant's own row, last. What was purged is told in its trail, which stays.
WITH gone AS (
    DELETE FROM tenants t WHERE t.id = $1::uuid AND t.status = 'deleted' AND t.purge_began_at IS NOT NULL
    RETURNING t.id, t.slug
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT gone.id, 'administrator', gen_random_uuid(), 'delete', 'administration/tenant', gone.id,
           jsonb_build_object('status', 'purged', 'slug', gone.slug, 'rows', $2::jsonb), 'ok', true
    FROM gone
)
SELECT slug FROM gone
