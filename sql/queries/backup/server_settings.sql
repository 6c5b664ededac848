-- backup/server_settings
-- What ALTER SYSTEM set, as far as this role is shown where a setting comes from.
-- Not where a replica finds its primary, nor how a recovery went, nor what is run, nor what extensions keep: a password may be in them.
SELECT s.name, current_setting(s.name) AS value
FROM pg_settings s
WHERE s.sourcefile LIKE '%/postgresql.auto.conf' AND s.name NOT LIKE 'primary\_%' AND s.name NOT LIKE 'recovery\_%'
  AND s.name NOT LIKE '%\_command' AND s.name NOT LIKE '%.%'
ORDER BY 1
