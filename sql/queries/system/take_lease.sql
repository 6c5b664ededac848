-- system/take_lease
-- A standby would give the lock, too, and nobody who writes would see that it is held.
SELECT pg_advisory_lock($1), current_setting('transaction_read_only')::boolean AS is_read_only
