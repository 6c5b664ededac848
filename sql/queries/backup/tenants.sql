-- backup/tenants
SELECT t.id, t.slug, t.name, t.status FROM tenants t ORDER BY t.slug
