-- costs/record_embedding
-- Tokens that a model of the server read for a tenant. What the server computes itself costs nothing; a service without a price is
-- flagged where its operator wants that, and otherwise gives no row. At the moment at which the money was held, if it was.
WITH price AS (
    SELECT p.input_usd_per_million FROM model_prices p
    WHERE p.provider = $4::text AND p.model_name = $5::text AND p.effective_from <= now()
    ORDER BY p.effective_from DESC LIMIT 1
), priced AS (
    SELECT $8::boolean OR EXISTS (SELECT FROM price) AS is_priced
)
INSERT INTO cost_tracking ("timestamp", tenant_id, user_id, call_id, provider, model_name, input_tokens, output_tokens, input_cost, output_cost,
                           operation, tool, is_priced, metadata)
SELECT coalesce((SELECT i.reserved_at FROM call_intents i WHERE i.tenant_id = $1::uuid AND i.call_id = $3::uuid), now()),
       $1, $2::text, $3, $4, $5, $6::integer, 0,
       CASE WHEN $8 THEN 0 ELSE coalesce($6::numeric * (SELECT input_usd_per_million FROM price) / 1000000, 0) END,
       0, $7::text, $10::text, is_priced, CASE WHEN is_priced THEN '{}'::jsonb ELSE '{"unpriced": true}' END
FROM priced
WHERE is_priced OR $9::boolean
RETURNING total_cost
