SET LOCAL ROLE bailiwick_statistics;
DROP FUNCTION open_budget_alerts();
DROP FUNCTION tenants_to_embed();
DROP FUNCTION current_tenant_statistics();
DROP FUNCTION refresh_stale_statistics(interval);
DROP FUNCTION refresh_tenant_statistics();
DROP MATERIALIZED VIEW tenant_statistics;

SET LOCAL ROLE bailiwick_owner;
DROP POLICY budget_alerts_statistics ON budget_alerts;
DROP POLICY cost_tracking_statistics ON cost_tracking;
DROP POLICY embedding_attempts_statistics ON embedding_attempts;
DROP POLICY documents_statistics ON documents;
DROP POLICY tenants_statistics ON tenants;
REVOKE SELECT ON tenants, documents, cost_tracking, embedding_attempts, budget_alerts FROM bailiwick_statistics;
