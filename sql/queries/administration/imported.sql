-- administration/imported
SELECT id FROM documents WHERE tenant_id = $1::uuid AND id = ANY ($2::uuid[])
