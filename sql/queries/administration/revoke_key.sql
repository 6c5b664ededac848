-- administration/revoke_key
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant_id = $1::uuid AND id = $2::uuid RETURNING revoked_at
