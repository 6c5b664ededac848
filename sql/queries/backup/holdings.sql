-- backup/holdings
-- Whether a database holds anything of anybody's, and whether that is ours.
WITH belongings AS (
    SELECT 'pg_class'::regclass AS classid, c.oid AS objid, c.relnamespace AS namespace FROM pg_class c
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, p.pronamespace FROM pg_proc p
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, t.typnamespace FROM pg_type t WHERE t.typtype IN ('d', 'e', 'r')
    UNION ALL
    SELECT 'pg_namespace'::regclass, n.oid, n.oid FROM pg_namespace n WHERE n.nspname <> 'public'
)
SELECT EXISTS (
           SELECT FROM belongings b JOIN pg_namespace n ON n.oid = b.namespace
           WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = b.classid AND d.objid = b.objid AND d.deptype = 'e')
       ) OR EXISTS (SELECT FROM pg_largeobject_metadata) AS holds_any,
       (SELECT count(*) = 4 FROM unnest(ARRAY['schema_migrations', 'audit_logs', 'audit_seals', 'embedding_state']) AS ours (name)
        WHERE to_regclass('public.' || ours.name) IS NOT NULL) AS is_ours
