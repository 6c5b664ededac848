-- documents/delete
WITH gone AS (
    DELETE FROM documents d WHERE d.tenant_id = $1::uuid AND d.id = $2::uuid RETURNING d.id
)
SELECT EXISTS (SELECT FROM gone) AS is_gone
