-- system/authenticate_api_key
SELECT tenant_id, tenant_slug, tenant_status, key_id, user_id, scopes, expires_at FROM authenticate_api_key($1::bytea)
