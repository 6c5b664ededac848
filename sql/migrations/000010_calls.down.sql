SET LOCAL ROLE bailiwick_reaper;
DROP FUNCTION reap_calls();
DROP FUNCTION reap_calls(interval, interval);

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION close_calls(jsonb);
DROP FUNCTION reserve_budget(uuid, numeric, boolean, text);
DROP FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer);

SET LOCAL ROLE bailiwick_owner;
DROP FUNCTION reserved_budget(uuid, text, date, text);
DROP POLICY audit_logs_reaper_adds ON audit_logs;
DROP POLICY audit_logs_reaper_reads ON audit_logs;
REVOKE SELECT, INSERT ON audit_logs FROM bailiwick_reaper;
REVOKE USAGE ON SEQUENCE audit_logs_id_seq FROM bailiwick_reaper;
DROP TABLE call_intents;
