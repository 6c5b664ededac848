-- costs/reserve
-- Holds for a call what a usage costs at the list price in force, at the most.
WITH price AS (
    SELECT p.input_usd_per_million, p.output_usd_per_million, coalesce(p.cached_input_usd_per_million, p.input_usd_per_million) AS cached_input_usd_per_million
    FROM model_prices p
    WHERE p.provider = $2::text AND p.model_name = $3::text AND p.effective_from <= now()
    ORDER BY p.effective_from DESC LIMIT 1
)
SELECT r.outcome, r.period, r.is_user, r.limit_usd, r.spent_usd, r.reserved_usd, r.renewed_at, EXISTS (SELECT FROM price) AS is_priced
FROM reserve_budget(
    $1::uuid,
    (SELECT (($4::bigint - $7::bigint) * price.input_usd_per_million + $7 * price.cached_input_usd_per_million + $5::bigint * price.output_usd_per_million) / 1000000
     FROM price),
    $6::boolean,
    $8::text
) AS r
