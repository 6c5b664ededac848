-- Every object outside of the system's schemas, with owner, privileges and definition.
WITH ours AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
), lines AS (
    SELECT format('schema %s owner %s acl %s', nspname, nspowner::regrole,
        -- A grant that was taken back leaves the default spelled out, and one that came again is the last.
        ARRAY(SELECT unnest(coalesce(nspacl, acldefault('n', nspowner)))::text ORDER BY 1)) AS line FROM ours
    UNION ALL
    SELECT format('relation %s.%s kind %s owner %s acl %s rls %s %s comment %s', o.nspname, c.relname, c.relkind,
        c.relowner::regrole, coalesce(c.relacl, acldefault('r', c.relowner)), c.relrowsecurity, c.relforcerowsecurity, obj_description(c.oid, 'pg_class'))
    FROM pg_class c JOIN ours o ON o.oid = c.relnamespace
    UNION ALL
    SELECT format('column %s.%s.%s %s %s %s not null %s default %s', o.nspname, c.relname, a.attnum, a.attname,
        format_type(a.atttypid, a.atttypmod), a.attacl, a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN ours o ON o.oid = c.relnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid))
    FROM pg_constraint c JOIN ours o ON o.oid = c.connamespace
    UNION ALL
    SELECT format('index %s', pg_get_indexdef(indexrelid))
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN ours o ON o.oid = c.relnamespace
    UNION ALL
    SELECT format('policy %s', to_jsonb(p)) FROM pg_policies p
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(t.oid)) FROM pg_trigger t WHERE NOT tgisinternal
    UNION ALL
    SELECT format('function %s owner %s acl %s', pg_get_functiondef(p.oid), proowner::regrole, coalesce(proacl, acldefault('f', proowner)))
    FROM pg_proc p JOIN ours o ON o.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT format('role %s %s %s', rolname, rolcanlogin, rolsuper)
    FROM pg_roles WHERE rolname IN (current_database() || '_owner', current_database() || '_app')
    UNION ALL
    SELECT format('extension %s %s', extname, extversion) FROM pg_extension
)
SELECT line FROM lines ORDER BY line;
