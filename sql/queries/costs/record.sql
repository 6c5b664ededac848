-- costs/record
-- At the moment at which its money was held, whose day and month it counts in. A model without a price gives a row only where the
-- tenant's settings want it flagged.
WITH price AS (
    SELECT p.input_usd_per_million, p.output_usd_per_million, coalesce(p.cached_input_usd_per_million, p.input_usd_per_million) AS cached_input_usd_per_million
    FROM model_prices p
    WHERE p.provider = $4::text AND p.model_name = $5::text AND p.effective_from <= now()
    ORDER BY p.effective_from DESC
    LIMIT 1
)
INSERT INTO cost_tracking ("timestamp", tenant_id, user_id, call_id, model_name, provider, input_tokens, cached_input_tokens, output_tokens,
                           input_cost, output_cost, operation, tool, is_priced, metadata)
SELECT coalesce((SELECT i.reserved_at FROM call_intents i WHERE i.tenant_id = $1::uuid AND i.call_id = $3::uuid), now()),
       $1, $2::text, $3, $5, $4, $6::integer, $10::integer, $7::integer,
       coalesce((($6 - $10)::numeric * price.input_usd_per_million + $10::numeric * price.cached_input_usd_per_million) / 1000000, 0),
       coalesce($7::numeric * price.output_usd_per_million / 1000000, 0), $8::text, $11::text, price IS NOT NULL, $9::jsonb
FROM tenants t LEFT JOIN price ON true
WHERE t.id = $1 AND (price IS NOT NULL OR t.settings #>> '{costs,unknown_models}' = 'flag')
RETURNING id, input_cost, output_cost, total_cost, is_priced
