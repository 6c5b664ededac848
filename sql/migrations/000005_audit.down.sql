SET LOCAL ROLE bailiwick_owner;
DROP FUNCTION drop_month_partitions(regclass, date);
DROP FUNCTION hold_month_partitions(regclass, date);
DROP FUNCTION month_partitions(regclass, date);
DROP FUNCTION maintain_partitions(integer, date);
DROP FUNCTION create_month_partition(regclass, date);
DROP TABLE audit_logs;
DROP SEQUENCE audit_logs_id_seq;
