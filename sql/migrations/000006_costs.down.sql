SET LOCAL ROLE bailiwick_owner;
DROP TABLE budget_alerts;
DROP TABLE budget_ledger;
DROP TABLE cost_tracking;
DROP TABLE cost_sums;
DROP TABLE cost_retention;
DROP TABLE cost_kinds;
DROP FUNCTION cost_spans(timestamptz, timestamptz, boolean, text, text, text);
DROP FUNCTION is_time_zone(text);
DROP FUNCTION local_midnight(date, text);
DROP FUNCTION cost_period(timestamptz, text, text);
ALTER TABLE tenants DROP CONSTRAINT tenants_cost_settings;
DROP FUNCTION are_cost_settings(jsonb);
ALTER TABLE tenants DROP CONSTRAINT tenants_budget_settings;
DROP FUNCTION are_budget_settings(jsonb);
DROP FUNCTION budget_limits(numeric, jsonb);
DROP FUNCTION budget_accounts(timestamptz, text);

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION add_costs_to_sums();
DROP FUNCTION post_costs_to_ledger();
DROP FUNCTION raise_budget_alerts(uuid, text, timestamptz);

SET LOCAL ROLE bailiwick_owner;
DROP SEQUENCE cost_tracking_id_seq;
DROP FUNCTION cost_kind_id(text, text, text, text, text);
DROP TABLE model_prices;
DROP FUNCTION keep_model_prices();
