-- documents/claim_idempotency_key
-- A concurrent call with the same key waits here until the first has committed or failed.
WITH claimed AS (
    INSERT INTO idempotency_keys (tenant_id, key, request_sha256)
    VALUES ($1::uuid, $2::text, $3::bytea)
    ON CONFLICT (tenant_id, key) DO NOTHING
    RETURNING key
)
SELECT EXISTS (SELECT FROM claimed) AS is_new
