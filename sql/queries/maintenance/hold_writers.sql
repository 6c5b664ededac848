-- maintenance/hold_writers
SELECT tenant_id FROM tenant_usage WHERE tenant_id = $1::uuid FOR UPDATE
