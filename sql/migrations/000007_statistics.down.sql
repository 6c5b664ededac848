SET LOCAL ROLE bailiwick_statistics;
DROP FUNCTION current_tenant_statistics();
DROP FUNCTION refresh_tenant_statistics();
DROP MATERIALIZED VIEW tenant_statistics;

SET LOCAL ROLE bailiwick_owner;
DROP POLICY cost_tracking_statistics ON cost_tracking;
DROP POLICY documents_statistics ON documents;
DROP POLICY tenants_statistics ON tenants;
REVOKE SELECT ON tenants, documents, cost_tracking FROM bailiwick_statistics;
