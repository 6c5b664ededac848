-- backup/whole_time
-- Takes off the time-outs that one version has and another has not.
SELECT set_config(s.name, '0', true) FROM pg_settings s WHERE s.name = 'transaction_timeout'
