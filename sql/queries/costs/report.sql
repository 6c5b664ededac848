-- costs/report
-- The row without keys is the total over all groups, also of those beyond the limit; it comes first. What lies between the edges is
-- read from sums by day and hour (cost_spans). With $10 the period of the same length before, or what there is of it since 1970.
-- Where rows and sums by user that it needs were dropped by retention, incomplete_before tells until when.
WITH asked AS (
    SELECT coalesce($2::timestamptz, local_midnight($3::date, $6::text), local_midnight(date_trunc('month', now() AT TIME ZONE $6)::date, $6)) AS starts,
           coalesce($4::timestamptz, local_midnight($5::date, $6), now()) AS ends
), period AS (
    -- In UTC, where a day is 24 hours.
    SELECT CASE WHEN $10::boolean THEN ((starts AT TIME ZONE 'UTC') - greatest(least(ends - starts, starts - timestamptz '1970-01-01 00:00+00'), interval '0')) AT TIME ZONE 'UTC' ELSE starts END AS starts,
           CASE WHEN $10 THEN starts ELSE ends END AS ends
    FROM asked
), extent AS (
    SELECT min(s.starts) AS starts, max(s.starts) + interval '24 hours' AS ends FROM cost_sums s WHERE s.tenant_id = $1::uuid AND s.grain = 'day'
), spans AS MATERIALIZED (
    SELECT s.*
    FROM period, extent,
         cost_spans(greatest(period.starts, extent.starts), least(period.ends, extent.ends), coalesce('user' IN ($7::text, $8::text), false), $7, $8, $6) AS s
    WHERE extent.starts IS NOT NULL
), incomplete AS (
    -- The sums of all users stay, and tell that there was something.
    SELECT max(r.rows_from) AS incomplete_before
    FROM cost_retention r
    WHERE EXISTS (
        SELECT FROM spans s
        CROSS JOIN (SELECT CASE WHEN 'user' IN ($7, $8) THEN 'day' ELSE 'hour' END) AS kept (grain)
        CROSS JOIN LATERAL (
            SELECT FROM cost_sums c
            WHERE c.tenant_id = $1 AND c.grain = kept.grain AND c.starts >= date_trunc(kept.grain, s.starts, 'UTC') AND c.starts < least(s.ends, r.rows_from)
            LIMIT 1
        ) AS c
        WHERE s.grain IN ('row', 'user day') AND s.starts < r.rows_from
    )
), parts AS (
    -- Each stretch by itself, so that it is read along the index; it is of one period.
    SELECT s.first_period, s.second_period, k.model_name, k.provider, k.user_id, k.operation, k.tool, c.operations, c.unpriced, c.input_tokens,
           c.cached_input_tokens, c.output_tokens, c.input_cost, c.output_cost
    FROM spans s
    CROSS JOIN LATERAL (
        SELECT c.kind_id, sum(c.operations) AS operations, sum(c.unpriced) AS unpriced, sum(c.input_tokens) AS input_tokens,
               sum(c.cached_input_tokens) AS cached_input_tokens, sum(c.output_tokens) AS output_tokens, sum(c.input_cost) AS input_cost,
               sum(c.output_cost) AS output_cost
        FROM cost_sums c
        WHERE c.tenant_id = $1 AND c.grain = s.grain AND c.starts >= s.starts AND c.starts < s.ends
        GROUP BY c.kind_id
    ) AS c
    JOIN cost_kinds k ON k.tenant_id = $1 AND k.kind_id = c.kind_id
    WHERE s.grain <> 'row'
    UNION ALL
    SELECT cost_period(c."timestamp", $7, $6), cost_period(c."timestamp", $8, $6), c.model_name, c.provider, c.user_id, c.operation, c.tool, 1,
           CASE WHEN c.is_priced THEN 0 ELSE 1 END, c.input_tokens, c.cached_input_tokens, c.output_tokens, c.input_cost, c.output_cost
    FROM spans s
    CROSS JOIN LATERAL (
        SELECT c.* FROM cost_tracking c WHERE c.tenant_id = $1 AND c."timestamp" >= s.starts AND c."timestamp" < s.ends OFFSET 0
    ) AS c
    WHERE s.grain = 'row'
), keyed AS (
    SELECT CASE $7 WHEN 'model' THEN p.model_name WHEN 'provider' THEN p.provider WHEN 'user' THEN p.user_id
               WHEN 'operation' THEN coalesce(p.operation, 'unspecified') WHEN 'tool' THEN coalesce(p.tool, 'unspecified') ELSE p.first_period
           END AS first_key,
           CASE $8 WHEN 'model' THEN p.model_name WHEN 'provider' THEN p.provider WHEN 'user' THEN p.user_id
               WHEN 'operation' THEN coalesce(p.operation, 'unspecified') WHEN 'tool' THEN coalesce(p.tool, 'unspecified') ELSE p.second_period
           END AS second_key,
           p.*
    FROM parts p
)
SELECT period.starts, period.ends, incomplete.incomplete_before, sums.*
FROM period
CROSS JOIN incomplete
CROSS JOIN (
    SELECT grouping(first_key) = 1 AS is_total, first_key, second_key, coalesce(sum(operations), 0)::bigint AS operations,
           coalesce(sum(unpriced), 0)::bigint AS unpriced,
           coalesce(sum(input_tokens), 0)::bigint AS input_tokens,
           coalesce(sum(cached_input_tokens), 0)::bigint AS cached_input_tokens,
           coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
           coalesce(sum(input_cost), 0) AS input_cost,
           coalesce(sum(output_cost), 0) AS output_cost,
           coalesce(sum(input_cost + output_cost), 0) AS total_cost
    FROM keyed
    GROUP BY GROUPING SETS ((first_key, second_key), ())
    ORDER BY is_total DESC, CASE WHEN $11::boolean THEN coalesce(sum(input_cost + output_cost), 0) END DESC, first_key, second_key
    LIMIT $9::integer
) AS sums
ORDER BY sums.is_total DESC, CASE WHEN $11 THEN sums.total_cost END DESC, sums.first_key, sums.second_key
