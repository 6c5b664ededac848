-- administration/list_prices
-- Those in force and those to come, or all that ever were.
SELECT p.provider, p.model_name, p.input_usd_per_million, p.output_usd_per_million, p.cached_input_usd_per_million, p.effective_from,
       p.source, p.noted_on, p.state
FROM (
    SELECT m.*, CASE WHEN m.effective_from > now() THEN 'to come'
                     WHEN m.effective_from = max(m.effective_from) FILTER (WHERE m.effective_from <= now()) OVER (PARTITION BY m.provider, m.model_name) THEN 'in force'
                     ELSE 'past' END AS state
    FROM model_prices m
) AS p
WHERE ($1::text IS NULL OR p.provider = $1) AND ($2::text IS NULL OR p.model_name = $2) AND ($3::boolean OR p.state <> 'past')
ORDER BY p.provider, p.model_name, p.effective_from
