-- administration/tenant_end
-- How far a tenant is with its end.
SELECT t.id, t.status, t.deleted_at, t.purge_began_at IS NOT NULL AS is_being_purged, t.import_sha256,
       t.deleted_at + make_interval(days => $2::integer) AS purged_from
FROM tenants t WHERE t.slug = $1::text
