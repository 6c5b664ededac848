-- costs/known_models
-- Those whose names are most like what was asked for.
SELECT p.provider, p.model_name
FROM (SELECT DISTINCT m.provider, m.model_name FROM model_prices m WHERE m.effective_from <= now()) AS p
ORDER BY similarity(p.provider || ' ' || p.model_name, $1::text || ' ' || $2::text) DESC, p.provider, p.model_name
LIMIT 12
