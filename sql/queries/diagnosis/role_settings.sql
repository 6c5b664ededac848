-- diagnosis/role_settings
-- Settings that a role or the database begins each session with, and that would take a tenant's context or its policies away, or keep it
-- from its tables or from writing.
SELECT coalesce(r.rolname::text, 'database') AS subject, setting AS detail
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
CROSS JOIN unnest(s.setconfig) AS setting
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (s.setrole = 0 OR r.rolname LIKE 'bailiwick\_%')
  AND (setting LIKE 'app.%' OR setting LIKE 'role=%' OR setting = 'row_security=off' OR setting = 'session_replication_role=replica'
       OR setting = 'synchronous_commit=off'
       -- A backup writes nothing.
       OR setting ~* '^(default_)?transaction_read_only=(on|t|true|y|yes|1)$' AND r.rolname IS DISTINCT FROM 'bailiwick_backup'
       OR setting LIKE 'search_path=%' AND setting NOT LIKE '%public%')
ORDER BY 1, 2
