-- tenants/state
SELECT status, settings FROM tenants WHERE id = $1::uuid
