-- administration/step_aside
-- Gives a deleted tenant another name, so that its own is free for one that comes out of a backup; it stays until it is purged.
WITH changed AS (
    UPDATE tenants t SET slug = $2::text
    WHERE t.slug = $1::text AND t.status = 'deleted' AND t.import_sha256 IS NULL
    RETURNING t.id, t.slug
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT changed.id, 'administrator', gen_random_uuid(), 'update', 'administration/tenant', changed.id,
           jsonb_build_object('slug', changed.slug, 'slug_before', $1), 'ok', true
    FROM changed
)
SELECT slug FROM changed
