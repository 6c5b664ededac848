-- backup/keys
-- Who gets in by which key.
SELECT k.id, k.key_prefix, t.slug, k.user_id, k.revoked_at IS NULL AND coalesce(k.expires_at > now(), true) AS is_good
FROM api_keys k JOIN tenants t ON t.id = k.tenant_id ORDER BY t.slug, k.key_prefix
