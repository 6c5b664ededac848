-- documents/sizes
-- What documents take of the tenant's storage quota.
SELECT d.id, (octet_length(d.title) + octet_length(d.content))::bigint AS storage_bytes
FROM documents d
WHERE d.tenant_id = $1::uuid AND d.id = ANY ($2::uuid[])
