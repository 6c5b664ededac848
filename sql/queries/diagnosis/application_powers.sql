-- diagnosis/application_powers
-- What the application's role can do that it must not.
SELECT 'bailiwick_app' AS subject, power AS detail
FROM (
    SELECT 'is superuser' AS power FROM pg_roles WHERE rolname = 'bailiwick_app' AND rolsuper
    UNION ALL SELECT 'bypasses row-level security' FROM pg_roles WHERE rolname = 'bailiwick_app' AND rolbypassrls
    UNION ALL SELECT 'makes roles or databases, or replicates' FROM pg_roles
              WHERE rolname = 'bailiwick_app' AND (rolcreaterole OR rolcreatedb OR rolreplication)
    UNION ALL SELECT format('is a member of %s', roleid::regrole) FROM pg_auth_members WHERE member = 'bailiwick_app'::regrole
    UNION ALL SELECT format('owns %s', oid::regclass) FROM pg_class WHERE relowner = 'bailiwick_app'::regrole
    UNION ALL SELECT format('makes objects in schema %I', nspname) FROM pg_namespace WHERE has_schema_privilege('bailiwick_app', oid, 'CREATE')
    UNION ALL SELECT 'makes schemas' WHERE has_database_privilege('bailiwick_app', current_database(), 'CREATE')
    UNION ALL SELECT 'makes temporary tables' WHERE has_database_privilege('bailiwick_app', current_database(), 'TEMPORARY')
    UNION ALL SELECT 'changes or empties the audit trail'
              WHERE has_table_privilege('bailiwick_app', 'audit_logs', 'UPDATE, DELETE, TRUNCATE')
                 OR has_any_column_privilege('bailiwick_app', 'audit_logs', 'UPDATE')
) AS powers
ORDER BY 2
