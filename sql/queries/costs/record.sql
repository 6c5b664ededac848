-- costs/record
-- At the moment at which its money was held, whose day and month it counts in.
INSERT INTO cost_tracking ("timestamp", tenant_id, user_id, call_id, model_name, provider, input_tokens, output_tokens,
                           input_cost, output_cost, operation, metadata)
SELECT coalesce((SELECT i.reserved_at FROM call_intents i WHERE i.tenant_id = $1::uuid AND i.call_id = $3::uuid), now()),
       $1, $2::text, $3, price.model_name, price.provider, $6::integer, $7::integer,
       $6::numeric * price.input_usd_per_million / 1000000, $7::numeric * price.output_usd_per_million / 1000000,
       $8::text, $9::jsonb
FROM (
    SELECT p.provider, p.model_name, p.input_usd_per_million, p.output_usd_per_million
    FROM model_prices p
    WHERE p.provider = $4::text AND p.model_name = $5::text AND p.effective_from <= now()
    ORDER BY p.effective_from DESC
    LIMIT 1
) AS price
RETURNING id, input_cost, output_cost, total_cost
