-- administration/list_keys
SELECT k.tenant_id, k.id, k.key_prefix, t.slug AS tenant, k.user_id, k.scopes, k.created_at, k.expires_at, k.last_used_at, k.revoked_at,
       CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' ELSE 'live' END AS state
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
WHERE $1::text IS NULL OR t.slug = $1::text
ORDER BY t.slug, k.created_at, k.id
