-- backup/settings
-- What sessions of this database begin with, and those of our roles anywhere.
SELECT r.rolname::text AS role, s.setdatabase <> 0 AS of_database, split_part(c.setting, '=', 1) AS name,
       substr(c.setting, strpos(c.setting, '=') + 1) AS value
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
CROSS JOIN unnest(s.setconfig) AS c (setting)
WHERE s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
   OR (s.setdatabase = 0 AND r.rolname LIKE 'bailiwick\_%')
ORDER BY 1 NULLS FIRST, 2, 3
