-- costs/report
-- The row without keys is the total over all groups, also of those beyond the limit; it comes first.
WITH period AS (
    SELECT coalesce($2::timestamptz, date_trunc('month', now(), 'UTC')) AS starts, coalesce($3::timestamptz, now()) AS ends
), keyed AS (
    SELECT CASE $4::text
               WHEN 'day' THEN to_char(c."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD')
               WHEN 'month' THEN to_char(c."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM')
               WHEN 'model' THEN c.model_name WHEN 'provider' THEN c.provider
               WHEN 'user' THEN c.user_id WHEN 'operation' THEN coalesce(c.operation, 'unspecified')
           END AS first_key,
           CASE $5::text
               WHEN 'day' THEN to_char(c."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD')
               WHEN 'month' THEN to_char(c."timestamp" AT TIME ZONE 'UTC', 'YYYY-MM')
               WHEN 'model' THEN c.model_name WHEN 'provider' THEN c.provider
               WHEN 'user' THEN c.user_id WHEN 'operation' THEN coalesce(c.operation, 'unspecified')
           END AS second_key,
           c.input_tokens, c.output_tokens, c.total_tokens, c.input_cost, c.output_cost, c.total_cost
    FROM cost_tracking c, period
    WHERE c.tenant_id = $1::uuid AND c."timestamp" >= period.starts AND c."timestamp" < period.ends
)
SELECT period.starts, period.ends, sums.*
FROM period
CROSS JOIN (
    SELECT grouping(first_key) = 1 AS is_total, first_key, second_key, count(*) AS operations,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(total_tokens), 0)::bigint AS total_tokens,
           coalesce(sum(input_cost), 0) AS input_cost,
           coalesce(sum(output_cost), 0) AS output_cost,
           coalesce(sum(total_cost), 0) AS total_cost
    FROM keyed
    GROUP BY GROUPING SETS ((first_key, second_key), ())
    ORDER BY is_total DESC, first_key, second_key
    LIMIT $6::integer
) AS sums
ORDER BY sums.is_total DESC, sums.first_key, sums.second_key
