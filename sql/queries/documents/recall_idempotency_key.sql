-- documents/recall_idempotency_key
SELECT request_sha256 = $3::bytea AS is_same_request, response
FROM idempotency_keys WHERE tenant_id = $1::uuid AND key = $2::text
