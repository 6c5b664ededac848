-- documents/answer_idempotency_key
UPDATE idempotency_keys SET response = $3::jsonb WHERE tenant_id = $1::uuid AND key = $2::text
RETURNING key
