-- replica/standing
-- How far a replica has replayed whose log, or that it replays none. Its timeline is as its control file has it: after a
-- failover that is the old one for a while. It also goes before all reading: what a later statement of the transaction sees is at
-- least as new.
SELECT pg_is_in_recovery() AS is_replaying,
       pg_last_wal_replay_lsn() AS place,
       (SELECT min_recovery_end_timeline FROM pg_control_recovery()) AS timeline,
       (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
       (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AS database_id
