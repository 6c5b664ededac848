-- administration/purged_spenders
-- Tenants that are gone, whose costs are kept.
SELECT DISTINCT k.tenant_id FROM cost_kinds k WHERE NOT EXISTS (SELECT FROM tenants t WHERE t.id = k.tenant_id) ORDER BY k.tenant_id
