-- diagnosis/isolating_policy
-- Tables without the policy that keeps tenants apart, compared as PostgreSQL prints it: any other expression is a fault.
SELECT c.relname::text AS subject, 'its policy tenant_isolation_policy is gone or says something else' AS detail
FROM pg_class c
CROSS JOIN format('(%I = (NULLIF(current_setting(''app.current_tenant_id''::text, true), ''''::text))::uuid)',
                  CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END) AS wanted
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (c.relname = 'tenants'
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
  AND NOT EXISTS (
      SELECT FROM pg_policy p
      WHERE p.polrelid = c.oid AND p.polroles = '{0}' AND p.polcmd = '*' AND p.polpermissive
        AND pg_get_expr(p.polqual, p.polrelid) = wanted AND pg_get_expr(p.polwithcheck, p.polrelid) = wanted)
ORDER BY 1
