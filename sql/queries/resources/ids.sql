-- resources/ids
SELECT d.id FROM documents d
WHERE d.tenant_id = $1::uuid AND d.id BETWEEN $2::uuid AND $3::uuid
ORDER BY d.id DESC
LIMIT $4::integer
