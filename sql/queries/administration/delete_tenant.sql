-- administration/delete_tenant
-- Nobody gets in from now on; its rows stay until they are purged.
WITH changed AS (
    UPDATE tenants t SET status = 'deleted' WHERE t.slug = $1::text AND t.status <> 'deleted'
    RETURNING t.id, t.deleted_at
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT changed.id, 'administrator', gen_random_uuid(), 'delete', 'administration/tenant', changed.id,
           jsonb_build_object('status', 'deleted', 'slug', $1), 'ok', true
    FROM changed
)
SELECT id, deleted_at FROM changed
