-- backup/roles
-- Whom something in this database belongs to, is granted to, or is a policy for.
SELECT r.rolname::text AS name
FROM pg_roles r
WHERE r.oid IN (
    SELECT d.refobjid FROM pg_shdepend d
    WHERE d.refclassid = 'pg_authid'::regclass AND d.dbid = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())
    UNION ALL
    -- What belongs to the superuser that initdb made is in no list.
    SELECT c.relowner FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT p.proowner FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))
ORDER BY 1
