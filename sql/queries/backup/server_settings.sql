-- backup/server_settings
-- What ALTER SYSTEM set, as far as this role is shown where a setting comes from.
-- Not where a replica finds its primary, which may hold a password, nor how a recovery went.
SELECT s.name, current_setting(s.name) AS value
FROM pg_settings s
WHERE s.sourcefile LIKE '%/postgresql.auto.conf' AND s.name NOT LIKE 'primary\_%' AND s.name NOT LIKE 'recovery\_%' AND s.name <> 'restore_command'
ORDER BY 1
