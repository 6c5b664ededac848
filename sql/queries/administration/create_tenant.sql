-- administration/create_tenant
INSERT INTO tenants (slug, name, monthly_budget_usd, max_documents, max_storage_mb)
VALUES ($1::text, $2::text, $3::numeric, $4::integer, $5::integer)
ON CONFLICT (slug) DO NOTHING
RETURNING id
