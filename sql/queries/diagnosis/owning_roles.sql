-- diagnosis/owning_roles
-- Roles that own tables and functions: nobody logs in as them, and none goes past row-level security.
SELECT rolname::text AS subject,
       CASE WHEN rolcanlogin THEN 'may log in' WHEN rolsuper THEN 'is superuser' ELSE 'bypasses row-level security' END AS detail
FROM pg_roles
WHERE rolname IN ('bailiwick_owner', 'bailiwick_definer', 'bailiwick_identity', 'bailiwick_statistics', 'bailiwick_reaper')
  AND (rolcanlogin OR rolsuper OR rolbypassrls)
UNION ALL
SELECT 'bailiwick_owner', format('inherits the policies of %s', roleid::regrole)
FROM pg_auth_members WHERE member = 'bailiwick_owner'::regrole AND inherit_option
ORDER BY 1, 2
