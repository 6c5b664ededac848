-- administration/change_tenant
-- What is absent stays. Settings are two levels deep: what is given is set, what is null is taken away.
WITH changed AS (
    UPDATE tenants t
    SET name = coalesce($2::text, t.name),
        status = coalesce($3::text, t.status),
        monthly_budget_usd = CASE WHEN $4::boolean THEN $5::numeric ELSE t.monthly_budget_usd END,
        max_documents = CASE WHEN $6::boolean THEN $7::integer ELSE t.max_documents END,
        max_storage_mb = CASE WHEN $8::boolean THEN $9::integer ELSE t.max_storage_mb END,
        settings = jsonb_strip_nulls(t.settings || (
            SELECT coalesce(jsonb_object_agg(p.key, CASE
                       WHEN jsonb_typeof(p.value) = 'object' AND jsonb_typeof(t.settings -> p.key) = 'object'
                       THEN (t.settings -> p.key) || p.value ELSE p.value END), '{}')
            FROM jsonb_each($10::jsonb) AS p))
    WHERE t.slug = $1::text AND t.status <> 'deleted'
    RETURNING t.id
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT changed.id, 'administrator', gen_random_uuid(), 'update', 'administration/tenant', changed.id, $11::jsonb, 'ok', true
    FROM changed
)
SELECT id FROM changed
