-- backup/objects
-- All of the schema that a dump has, an object a line, as PostgreSQL prints it. Read back from a dump an expression may have other
-- parentheses, the text of a function or a policy has not; now and then it has other words, and stands in a line of its own.
WITH extended AS (
    SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
), relations AS (
    SELECT c.* FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND (('pg_class'::regclass)::oid, c.oid) NOT IN (SELECT classid, objid FROM extended)
), lines AS (
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind,
           c.relname::text AS name,
           format('owner %s, security %s, forced %s, persistence %s, partition %s, populated %s, options %s, key %s', c.relowner::regrole, c.relrowsecurity,
                  c.relforcerowsecurity, c.relpersistence, pg_get_expr(c.relpartbound, c.oid), c.relispopulated, c.reloptions,
                  pg_get_partkeydef(c.oid)) AS definition
    FROM relations c
    UNION ALL
    SELECT 'view text', c.relname::text, pg_get_viewdef(c.oid) FROM relations c WHERE c.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'grants', c.relname::text,
           (SELECT string_agg(format('%s %s %s', coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC'), a.privilege_type, a.is_grantable), ', '
                              ORDER BY coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC') COLLATE "C", a.privilege_type COLLATE "C")
            FROM aclexplode(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) a)
    FROM relations c
    UNION ALL
    SELECT 'column', format('%s.%s', c.relname, a.attname),
           format('%s, not null %s, storage %s, compression %s, generated %s, identity %s, grants %s', format_type(a.atttypid, a.atttypmod), a.attnotnull,
                  a.attstorage, a.attcompression, a.attgenerated, a.attidentity,
                  (SELECT string_agg(format('%s %s', coalesce(nullif(g.grantee, 0)::regrole::text, 'PUBLIC'), g.privilege_type), ', '
                                     ORDER BY coalesce(nullif(g.grantee, 0)::regrole::text, 'PUBLIC') COLLATE "C", g.privilege_type COLLATE "C")
                   FROM aclexplode(a.attacl) g))
    FROM relations c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind <> 'S'
    UNION ALL
    SELECT 'default', format('%s.%s', c.relname, a.attname), pg_get_expr(e.adbin, e.adrelid)
    FROM relations c
    JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
    JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
    UNION ALL
    SELECT 'policy', format('%s.%s', p.tablename, p.policyname),
           format('%s %s for %s, %s', p.permissive, p.cmd, p.roles,
                  -- What keeps tenants apart is printed as it was, and must be.
                  CASE p.policyname WHEN 'tenant_isolation_policy' THEN format('using %s with check %s', p.qual, p.with_check)
                                    ELSE format('using %s, with check %s', p.qual IS NOT NULL, p.with_check IS NOT NULL) END)
    FROM pg_policies p WHERE p.schemaname = 'public'
    UNION ALL
    SELECT 'policy text', format('%s.%s', p.tablename, p.policyname), format('using %s with check %s', p.qual, p.with_check)
    FROM pg_policies p WHERE p.schemaname = 'public' AND p.policyname <> 'tenant_isolation_policy'
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text,
           format('owner %s, grants %s, %s', p.proowner::regrole,
                  (SELECT string_agg(format('%s %s', coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC'), a.is_grantable), ', '
                                     ORDER BY coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC') COLLATE "C")
                   FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a),
                  CASE WHEN p.prosqlbody IS NOT NULL
                       THEN format('SQL, result %s, kind %s, definer %s, leakproof %s, strict %s, volatile %s, parallel %s, settings %s',
                                   pg_get_function_result(p.oid), p.prokind, p.prosecdef, p.proleakproof, p.proisstrict, p.provolatile, p.proparallel,
                                   p.proconfig)
                       WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) END)
    FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND (('pg_proc'::regclass)::oid, p.oid) NOT IN (SELECT classid, objid FROM extended)
    UNION ALL
    -- A body that is kept as a text is printed as it was written; one that is kept as it was understood (BEGIN ATOMIC, RETURN) is not.
    SELECT 'function text', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
    FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND (('pg_proc'::regclass)::oid, p.oid) NOT IN (SELECT classid, objid FROM extended)
      AND p.prosqlbody IS NOT NULL
    UNION ALL
    SELECT 'constraint', format('%s.%s', k.conrelid::regclass, k.conname), format('%s, validated %s', pg_get_constraintdef(k.oid), k.convalidated)
    FROM pg_constraint k
    -- That a column is not null stands with the column, and is an object of its own only from PostgreSQL 18 on.
    WHERE k.connamespace = 'public'::regnamespace AND k.contype <> 'n' AND k.conrelid <> 0
    UNION ALL
    SELECT 'trigger', format('%s.%s', g.tgrelid::regclass, g.tgname),
           format('%s, enabled %s',
                  CASE WHEN g.tgqual IS NULL THEN pg_get_triggerdef(g.oid)
                       ELSE format('%s, when %s, of columns %s, if so', g.tgfoid::regprocedure, g.tgtype,
                                   (SELECT string_agg(a.attname::text, ' ' ORDER BY a.attname COLLATE "C") FROM pg_attribute a
                                    WHERE a.attrelid = g.tgrelid AND a.attnum = ANY (g.tgattr::smallint[]))) END, g.tgenabled)
    FROM pg_trigger g JOIN relations c ON c.oid = g.tgrelid WHERE NOT g.tgisinternal
    UNION ALL
    SELECT 'trigger text', format('%s.%s', g.tgrelid::regclass, g.tgname), pg_get_triggerdef(g.oid)
    FROM pg_trigger g JOIN relations c ON c.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgqual IS NOT NULL
    UNION ALL
    SELECT 'index', i.indexrelid::regclass::text, format('%s, valid %s', pg_get_indexdef(i.indexrelid), i.indisvalid)
    FROM pg_index i JOIN relations c ON c.oid = i.indrelid
    -- pg_dump leaves out what is being made or dropped, and the ruin of a build that was broken off.
    WHERE i.indisready AND (i.indisvalid OR c.relkind = 'p')
    UNION ALL
    SELECT 'default privileges', format('%s %s', d.defaclrole::regrole, d.defaclobjtype),
           (SELECT string_agg(a::text, ', ' ORDER BY a::text COLLATE "C") FROM unnest(d.defaclacl) a)
    FROM pg_default_acl d WHERE d.defaclnamespace IN (0, 'public'::regnamespace)
    UNION ALL
    SELECT 'schema', n.nspname::text,
           (SELECT string_agg(format('%s %s', coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC'), a.privilege_type), ', '
                              ORDER BY coalesce(nullif(a.grantee, 0)::regrole::text, 'PUBLIC') COLLATE "C", a.privilege_type COLLATE "C")
            FROM aclexplode(n.nspacl) a)
    FROM pg_namespace n WHERE n.nspname = 'public'
)
SELECT kind, name, coalesce(CASE WHEN kind IN ('function', 'function text', 'policy', 'policy text') THEN definition ELSE translate(definition, '()', '') END, '') AS definition FROM lines ORDER BY kind COLLATE "C", name COLLATE "C"
