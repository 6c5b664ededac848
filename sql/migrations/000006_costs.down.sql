SET LOCAL ROLE bailiwick_owner;
DROP TABLE budget_alerts;
DROP TABLE budget_ledger;
DROP TABLE cost_tracking;
ALTER TABLE tenants DROP CONSTRAINT tenants_budget_settings;
DROP FUNCTION are_budget_settings(jsonb);
DROP FUNCTION budget_limits(numeric, jsonb);
DROP FUNCTION budget_accounts(timestamptz, text);

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION post_costs_to_ledger();
DROP FUNCTION raise_budget_alerts(uuid, text, timestamptz);

SET LOCAL ROLE bailiwick_owner;
DROP SEQUENCE cost_tracking_id_seq;
DROP TABLE model_prices;
