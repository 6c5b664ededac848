-- diagnosis/schema
-- What of the schema works by its being there, an object a line, in words that do not hang on the version of PostgreSQL, on how a dump was
-- read back, or on the dimensions of vectors. Months and tenants' vector indexes come and go; all else is what the migrations make.
WITH extended AS (
    SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
), relations AS (
    SELECT c.*, parent.relname AS parent
    FROM pg_class c
    LEFT JOIN pg_inherits h ON h.inhrelid = c.oid AND c.relispartition
    LEFT JOIN pg_class parent ON parent.oid = h.inhparent
    LEFT JOIN pg_partitioned_table p ON p.partrelid = parent.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND (NOT c.relispartition OR p.partstrat = 'h') AND c.relname NOT IN ('schema_migrations', 'bailiwick_migrations')
      AND (('pg_class'::regclass)::oid, c.oid) NOT IN (SELECT classid, objid FROM extended)
), tables AS (
    SELECT * FROM relations WHERE NOT relispartition
), functions AS (
    SELECT p.* FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND (('pg_proc'::regclass)::oid, p.oid) NOT IN (SELECT classid, objid FROM extended)
), privileges AS (
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.relname AS object, c.relowner AS owner, c.relacl AS acl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) AS usual
    FROM tables c
    UNION ALL SELECT format('FUNCTION %s', p.oid::regprocedure), p.proowner, p.proacl, acldefault('f', p.proowner) FROM functions p
    UNION ALL SELECT 'SCHEMA public', n.nspowner, n.nspacl, acldefault('n', n.nspowner) FROM pg_namespace n WHERE n.nspname = 'public'
), granted AS (
    SELECT g.grantee, g.privilege_type AS privilege, p.object, g.is_grantable, p.owner FROM privileges p CROSS JOIN LATERAL aclexplode(coalesce(p.acl, p.usual)) AS g
    UNION ALL
    SELECT g.grantee, format('%s (%I)', g.privilege_type, a.attname), 'TABLE ' || c.relname, g.is_grantable, c.relowner
    FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped CROSS JOIN LATERAL aclexplode(a.attacl) AS g
), lines AS (
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind, c.relname::text AS name,
           format('of %s%s', c.relowner::regrole, ', partition of ' || c.parent) AS definition
    FROM relations c
    UNION ALL
    SELECT 'column', format('%s.%s', c.relname, a.attname),
           regexp_replace(format_type(a.atttypid, a.atttypmod), '^((?:half)?vec(?:tor)?)\(\d+\)$', '\1') || CASE WHEN a.attnotnull THEN ', not null' ELSE '' END
           || CASE WHEN a.atthasdef THEN ', with a default' ELSE '' END || CASE WHEN a.attgenerated <> '' THEN ', generated' ELSE '' END
           || CASE WHEN a.attidentity <> '' THEN ', identity' ELSE '' END
    FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind <> 'S'
    UNION ALL
    SELECT 'policy', format('%s.%s', p.tablename, p.policyname), format('%s for %s to %s', lower(p.permissive), p.cmd, array_to_string(p.roles, ', '))
    FROM pg_policies p JOIN tables c ON c.relname = p.tablename WHERE p.schemaname = 'public'
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text,
           format('of %s%s%s, text %s', p.proowner::regrole, CASE WHEN p.prosecdef THEN ', with its powers' ELSE '' END, ', ' || array_to_string(p.proconfig, ', '),
                  left(encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'), 12))
    FROM functions p
    UNION ALL
    -- That a column is not null stands with the column.
    SELECT 'constraint', format('%s.%s', c.relname, k.conname),
           CASE k.contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' ELSE k.contype::text END
           || CASE WHEN k.convalidated THEN '' ELSE ', not validated' END
    FROM pg_constraint k JOIN tables c ON c.oid = k.conrelid
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0
    UNION ALL
    SELECT 'trigger', format('%s.%s', c.relname, g.tgname), format('calls %s (%s)', p.proname, g.tgtype)
    FROM pg_trigger g JOIN tables c ON c.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid WHERE NOT g.tgisinternal
    UNION ALL
    SELECT 'index', x.relname::text,
           format('of %s by %s%s%s', c.relname, m.amname, CASE WHEN i.indisunique THEN ', unique' ELSE '' END, CASE WHEN i.indpred IS NOT NULL THEN ', of some rows' ELSE '' END)
    FROM pg_index i JOIN tables c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    UNION ALL
    SELECT 'grant', format('%s: %s ON %s', coalesce(r.rolname, 'PUBLIC'), g.privilege, g.object), CASE WHEN g.is_grantable THEN 'with grant option' ELSE '' END
    FROM granted g LEFT JOIN pg_roles r ON r.oid = g.grantee
    -- MAINTAIN is of PostgreSQL 17 and newer. Whoever administrates may give roles of his own what he likes.
    WHERE g.grantee <> g.owner AND g.privilege NOT LIKE 'MAINTAIN%' AND (g.grantee = 0 OR r.rolname LIKE 'bailiwick\_%')
)
SELECT kind, name, definition FROM lines ORDER BY kind COLLATE "C", name COLLATE "C"
