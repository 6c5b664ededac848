-- administration/tenants_to_purge
SELECT t.id, t.slug FROM tenants t
WHERE t.status = 'deleted' AND (t.deleted_at <= now() - make_interval(days => $1::integer) OR t.purge_began_at IS NOT NULL)
ORDER BY t.deleted_at
