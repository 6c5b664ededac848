-- backup/have_time
-- Takes off the time-outs of a session, whichever of them this version has.
SELECT set_config(s.name, '0', false) FROM pg_settings s
WHERE s.name IN ('statement_timeout', 'transaction_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout')
