-- backup/database_grants
-- Who may do what to a database, but for its owner, who may do everything. A grantee of NULL is everybody.
SELECT r.rolname::text AS grantee, a.privilege_type::text AS privilege, a.is_grantable
FROM pg_database d
CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE d.datname = current_database() AND a.grantee <> d.datdba
ORDER BY 1 NULLS FIRST, 2
