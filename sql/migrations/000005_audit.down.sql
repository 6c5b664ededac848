SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION complete_call(uuid, boolean, text, text, uuid, jsonb, text, text, text, inet, integer);

SET LOCAL ROLE bailiwick_owner;
DROP FUNCTION drop_month_partitions(regclass, date);
DROP FUNCTION maintain_partitions(integer);
DROP FUNCTION create_month_partition(regclass, date);
DROP TABLE audit_seals;
DROP TABLE call_intents;
DROP TABLE audit_logs;
DROP SEQUENCE audit_logs_id_seq;
