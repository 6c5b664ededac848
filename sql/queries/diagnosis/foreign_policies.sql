-- diagnosis/foreign_policies
-- Policies that open a table to the application beside the one that keeps tenants apart.
SELECT p.polrelid::regclass::text AS subject, format('policy %I opens it to the application', p.polname) AS detail
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid AND c.relnamespace = 'public'::regnamespace
WHERE (p.polname <> 'tenant_isolation_policy' OR c.relispartition)
  AND EXISTS (SELECT FROM unnest(p.polroles) AS role WHERE role = 0 OR pg_has_role('bailiwick_app', role, 'MEMBER'))
ORDER BY 1, 2
