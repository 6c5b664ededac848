SET LOCAL ROLE bailiwick_statistics;
DROP FUNCTION upkeep_backlog();

SET LOCAL ROLE bailiwick_owner;
DROP POLICY index_state_statistics ON index_state;
DROP POLICY tenant_usage_statistics ON tenant_usage;
DROP POLICY cost_tracking_default_statistics ON cost_tracking_default;
DROP POLICY audit_logs_default_statistics ON audit_logs_default;
DROP POLICY audit_logs_statistics ON audit_logs;
REVOKE SELECT (id, completed_at) ON audit_logs FROM bailiwick_statistics;
REVOKE SELECT (id) ON audit_logs_default, cost_tracking_default FROM bailiwick_statistics;
REVOKE SELECT (tenant_id, next_chunk_no) ON tenant_usage FROM bailiwick_statistics;
REVOKE SELECT (tenant_id, merged_through) ON index_state FROM bailiwick_statistics;

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION audit_sealed_until();

SET LOCAL ROLE bailiwick_owner;
DROP TABLE audit_seals;
