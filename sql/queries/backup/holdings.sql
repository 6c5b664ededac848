-- backup/holdings
-- Whether a database holds anything of anybody's, and whether that is ours.
SELECT EXISTS (
           SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
       ) AS holds_any,
       to_regclass('public.schema_migrations') IS NOT NULL AND to_regclass('public.audit_logs') IS NOT NULL AS is_ours
