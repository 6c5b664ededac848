-- replica/moment
-- Goes before all reading: what a later statement of the transaction sees is at least as new.
SELECT pg_is_in_recovery() AS is_replaying, pg_last_wal_replay_lsn() AS place
