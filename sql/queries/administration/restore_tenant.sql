-- administration/restore_tenant
-- As it was before; not once rows of it are gone, or were never there.
WITH changed AS (
    UPDATE tenants t SET status = coalesce(t.status_before_deletion, 'suspended')
    WHERE t.slug = $1::text AND t.status = 'deleted' AND t.purge_began_at IS NULL AND t.import_sha256 IS NULL
    RETURNING t.id, t.status
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT changed.id, 'administrator', gen_random_uuid(), 'update', 'administration/tenant', changed.id,
           jsonb_build_object('status', 'restored', 'slug', $1), 'ok', true
    FROM changed
)
SELECT id, status FROM changed
