-- system/embedding_price
SELECT EXISTS (SELECT FROM model_prices WHERE provider = $1::text AND model_name = $2::text AND effective_from <= now()) AS is_priced
