-- administration/create_tenant
WITH made AS (
    INSERT INTO tenants (slug, name, monthly_budget_usd, max_documents, max_storage_mb, settings)
    VALUES ($1::text, $2::text, $3::numeric, $4::integer, $5::integer, jsonb_strip_nulls($6::jsonb))
    ON CONFLICT (slug) DO NOTHING
    RETURNING id
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT made.id, 'administrator', gen_random_uuid(), 'insert', 'administration/tenant', made.id,
           jsonb_build_object('status', 'made', 'slug', $1), 'ok', true
    FROM made
)
SELECT id FROM made
