-- administration/add_prices
-- With a row in the trail of every tenant: what they are charged changes with it.
WITH added AS (
    INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, cached_input_usd_per_million, source, noted_on)
    SELECT j.provider, j.model_name, coalesce(j.effective_from, now()), j.input, j.output, j.cached_input, j.source,
           coalesce(j.noted_on, (now() AT TIME ZONE 'UTC')::date)
    FROM jsonb_to_recordset($1::jsonb) AS j (provider text, model_name text, input numeric, output numeric, cached_input numeric, effective_from timestamptz, source text, noted_on date)
    RETURNING provider
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, details, outcome, success)
    SELECT t.id, 'administrator', gen_random_uuid(), 'update', 'administration/prices', $2::jsonb, 'ok', true
    FROM tenants t WHERE t.status <> 'deleted' AND EXISTS (SELECT FROM added)
)
SELECT count(*) AS added FROM added
