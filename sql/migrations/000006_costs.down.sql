SET LOCAL ROLE bailiwick_owner;
DROP TABLE budget_ledger;
DROP TABLE cost_tracking;

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION post_costs_to_ledger();

SET LOCAL ROLE bailiwick_owner;
DROP SEQUENCE cost_tracking_id_seq;
DROP TABLE model_prices;
