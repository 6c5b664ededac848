-- system/role_powers
SELECT r.rolname::text AS role_name,
       r.rolsuper AS is_superuser,
       r.rolbypassrls AS bypasses_rls,
       ARRAY(
           SELECT other.rolname::text FROM pg_roles other
           WHERE other.oid <> r.oid
             AND (other.rolsuper OR other.rolbypassrls
                  OR other.rolname IN ('bailiwick_owner', 'bailiwick_definer', 'bailiwick_identity',
                                       'bailiwick_statistics', 'bailiwick_reaper', 'bailiwick_maintenance', 'bailiwick_backup'))
             AND pg_has_role(r.oid, other.oid, 'MEMBER')
           ORDER BY other.rolname
       ) AS powerful_memberships,
       ARRAY(
           SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'm', 'v') AND c.relowner = r.oid
           ORDER BY c.relname LIMIT 5
       ) AS owned_tables,
       ARRAY(
           SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND has_table_privilege(r.oid, c.oid, 'TRUNCATE')
           ORDER BY c.relname LIMIT 5
       ) AS emptied_tables
FROM pg_roles r
WHERE r.rolname = current_user
