-- audit/tenants
SELECT id FROM tenants ORDER BY id LIMIT 10000
