-- administration/judge_prices
-- What stands in the list for each price given: one of the same model and moment, and the one that it would follow.
SELECT g.effective_from, same.source IS NOT NULL AS is_known,
       (same.input_usd_per_million, same.output_usd_per_million, same.cached_input_usd_per_million) IS NOT DISTINCT FROM (g.input, g.output, g.cached_input) AS is_same,
       before.effective_from AS before_from, before.input_usd_per_million AS before_input, before.output_usd_per_million AS before_output,
       before.cached_input_usd_per_million AS before_cached_input
FROM (
    SELECT j.no, j.provider, j.model_name, j.input, j.output, j.cached_input, coalesce(j.effective_from, now()) AS effective_from
    FROM jsonb_to_recordset($1::jsonb) AS j (no integer, provider text, model_name text, input numeric, output numeric, cached_input numeric, effective_from timestamptz)
) AS g
LEFT JOIN model_prices same ON same.provider = g.provider AND same.model_name = g.model_name AND same.effective_from = g.effective_from
LEFT JOIN LATERAL (
    SELECT p.* FROM model_prices p
    WHERE p.provider = g.provider AND p.model_name = g.model_name AND p.effective_from < g.effective_from
    ORDER BY p.effective_from DESC LIMIT 1
) AS before ON true
ORDER BY g.no
