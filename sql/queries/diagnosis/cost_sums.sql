-- diagnosis/cost_sums
-- Days whose sums, which reports are made of, are not those of their rows. To compare all of them takes minutes where there are many
-- millions, so some days are picked by chance, of all that sums or the ledger know of, and others the next time.
WITH kept AS (
    SELECT coalesce((SELECT rows_from FROM cost_retention), '-infinity') AS rows_from
), days AS MATERIALIZED (
    SELECT known.tenant_id, known.starts
    FROM (SELECT s.tenant_id, s.starts FROM cost_sums s WHERE s.grain = 'day'
          UNION
          SELECT l.tenant_id, l.starts::timestamp AT TIME ZONE 'UTC' FROM budget_ledger l WHERE l.period = 'day' AND l.spent_usd > 0) AS known
    WHERE known.starts >= (SELECT rows_from FROM kept)
    ORDER BY random() LIMIT 200
), wanted AS (
    SELECT c.tenant_id, d.starts AS day, g.grain, date_trunc(g.unit, c."timestamp", 'UTC') AS starts, c.provider, c.model_name, c.operation, c.tool,
           CASE WHEN g.grain = 'user day' THEN c.user_id END AS user_id, count(*) AS operations, count(*) FILTER (WHERE NOT c.is_priced) AS unpriced,
           sum(c.input_tokens) AS input_tokens, sum(c.cached_input_tokens) AS cached_input_tokens, sum(c.output_tokens) AS output_tokens,
           sum(c.input_cost) AS input_cost, sum(c.output_cost) AS output_cost
    FROM days d
    JOIN cost_tracking c ON c.tenant_id = d.tenant_id AND c."timestamp" >= d.starts AND c."timestamp" < d.starts + interval '24 hours'
    CROSS JOIN (VALUES ('hour', 'hour'), ('day', 'day'), ('user day', 'day')) AS g (grain, unit)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), found AS (
    SELECT s.tenant_id, d.starts AS day, s.grain, s.starts, k.provider, k.model_name, k.operation, k.tool, k.user_id, s.operations, s.unpriced,
           s.input_tokens, s.cached_input_tokens, s.output_tokens, s.input_cost, s.output_cost
    FROM days d
    JOIN cost_sums s ON s.tenant_id = d.tenant_id AND s.starts >= d.starts AND s.starts < d.starts + interval '24 hours'
    LEFT JOIN cost_kinds k ON k.tenant_id = s.tenant_id AND k.kind_id = s.kind_id
), differing AS (
    SELECT DISTINCT x.tenant_id, x.day
    FROM ((TABLE wanted EXCEPT ALL TABLE found) UNION ALL (TABLE found EXCEPT ALL TABLE wanted)) AS x
)
SELECT coalesce(t.slug, x.tenant_id::text) AS subject,
       format('the sums of %s days looked at are not those of their costs, the earliest %s', count(*), min(x.day AT TIME ZONE 'UTC')::date) AS detail
FROM differing x LEFT JOIN tenants t ON t.id = x.tenant_id
GROUP BY 1 ORDER BY 1
