-- administration/create_key
WITH tenant AS (
    SELECT id, status FROM tenants WHERE slug = $1::text
), made AS (
    INSERT INTO api_keys (tenant_id, user_id, key_prefix, key_sha256, scopes, expires_at)
    SELECT id, $2::text, $3::text, $4::bytea, $5::text[], $6::timestamptz FROM tenant WHERE status = 'active'
    RETURNING id
)
SELECT tenant.status, made.id FROM tenant LEFT JOIN made ON true
