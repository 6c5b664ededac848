-- system/resolve_tenant
SELECT id, slug, status FROM resolve_tenant($1::text)
