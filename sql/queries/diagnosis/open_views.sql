-- diagnosis/open_views
-- Views that show rows with their owner's powers, and materialized views that the application may read.
SELECT c.relname::text AS subject,
       CASE c.relkind WHEN 'm' THEN 'the application may read this materialized view' ELSE 'the view has its owner''s powers' END AS detail
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace
  AND (c.relkind = 'm' AND has_table_privilege('bailiwick_app', c.oid, 'SELECT')
       OR c.relkind = 'v' AND NOT coalesce(c.reloptions @> '{security_invoker=true}', false)
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))
ORDER BY 1
