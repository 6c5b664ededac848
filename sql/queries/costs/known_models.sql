-- costs/known_models
SELECT DISTINCT provider, model_name FROM model_prices ORDER BY provider, model_name LIMIT 30
