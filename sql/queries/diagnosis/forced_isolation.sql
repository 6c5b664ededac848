-- diagnosis/forced_isolation
-- Tables with a tenant's rows whose row-level security is off, or not forced on the owner.
SELECT c.relname::text AS subject,
       CASE WHEN c.relrowsecurity THEN 'row-level security is not forced on its owner' ELSE 'row-level security is off' END AS detail
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND (c.relname = 'tenants' OR c.relispartition
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
ORDER BY 1
