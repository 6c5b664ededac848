-- replica/head
-- How far the primary's log goes, and whose it is: what has been committed by now stands before that place. Asked of a standby
-- it fails.
SELECT pg_current_wal_insert_lsn() AS place,
       ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer AS timeline,
       (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
       (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database_id
