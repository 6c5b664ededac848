-- diagnosis/application_access
-- What keeps the application out, or from writing.
SELECT 'bailiwick_app' AS subject, obstacle AS detail
FROM (
    SELECT 'there is no such role' AS obstacle WHERE to_regrole('bailiwick_app') IS NULL
    UNION ALL SELECT 'may not log in' FROM pg_roles WHERE rolname = 'bailiwick_app' AND NOT rolcanlogin
    UNION ALL SELECT format('its password was good until %s', rolvaliduntil::timestamptz(0)) FROM pg_roles WHERE rolname = 'bailiwick_app' AND rolvaliduntil < now()
    UNION ALL SELECT format('has %s of the %s connections that it may have (CONNECTION LIMIT)', used.count, rolconnlimit)
              FROM pg_roles, LATERAL (SELECT count(*) FROM pg_stat_activity WHERE usesysid = pg_roles.oid) AS used
              WHERE rolname = 'bailiwick_app' AND rolconnlimit >= 0 AND used.count >= rolconnlimit
    UNION ALL SELECT format('the database has %s of the %s connections that it may have (CONNECTION LIMIT)', used.count, datconnlimit)
              FROM pg_database, LATERAL (SELECT count(*) FROM pg_stat_activity WHERE datid = pg_database.oid) AS used
              WHERE datname = current_database() AND datconnlimit >= 0 AND used.count >= datconnlimit
    UNION ALL SELECT 'may not connect to the database' FROM pg_roles
              WHERE rolname = 'bailiwick_app' AND NOT has_database_privilege(oid, (SELECT oid FROM pg_database WHERE datname = current_database()), 'CONNECT')
    UNION ALL SELECT 'default_transaction_read_only is on in the server''s configuration: it may not write' FROM pg_settings
              WHERE name = 'default_transaction_read_only' AND setting = 'on' AND source NOT IN ('client', 'user', 'database user')
) AS obstacles
ORDER BY 2
