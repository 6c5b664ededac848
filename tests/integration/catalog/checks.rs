/// Tenant tables: those with a tenant_id, and tenants itself. Partitions are looked at apart.
macro_rules! with_tenant_tables {
    ($sql:literal) => {
        concat!(
            "WITH tenant_tables AS (
                SELECT c.oid, c.relname::text AS name, CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS tenant_column,
                       c.relrowsecurity, c.relforcerowsecurity
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                  AND (c.relname = 'tenants' OR EXISTS (
                      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
            ), partitions AS (
                SELECT c.oid, c.relname::text AS name, c.relrowsecurity, c.relforcerowsecurity
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'public' AND c.relispartition AND c.relkind IN ('r', 'p')
            ) ",
            $sql
        )
    };
}

/// Each check is a query that returns a line of text for each fault.
pub const CHECKS: &[(&str, &str)] = &[
    (
        "tenant tables force row-level security",
        with_tenant_tables!("SELECT name FROM tenant_tables WHERE NOT (relrowsecurity AND relforcerowsecurity)"),
    ),
    (
        "tenant tables have an isolating policy",
        // Compared as PostgreSQL prints it, so that any other expression is a fault.
        with_tenant_tables!(
            "SELECT t.name FROM tenant_tables t WHERE NOT EXISTS (
                SELECT FROM pg_policy p, format('(%I = (NULLIF(current_setting(''app.current_tenant_id''::text, true), ''''::text))::uuid)',
                                                t.tenant_column) AS wanted
                WHERE p.polrelid = t.oid AND p.polroles = '{0}' AND p.polcmd = '*' AND p.polpermissive
                  AND pg_get_expr(p.polqual, p.polrelid) = wanted AND pg_get_expr(p.polwithcheck, p.polrelid) = wanted)"
        ),
    ),
    (
        "no other policy opens a table to the application",
        with_tenant_tables!(
            "SELECT t.name || ': ' || p.polname FROM tenant_tables t JOIN pg_policy p ON p.polrelid = t.oid
             WHERE p.polname <> 'tenant_isolation_policy' AND EXISTS (
                 SELECT FROM unnest(p.polroles) AS role
                 WHERE role = 0 OR pg_has_role('bailiwick_app', role, 'MEMBER'))"
        ),
    ),
    (
        "the open policies are the known ones",
        "SELECT tablename || ': ' || policyname FROM pg_policies
         WHERE schemaname = 'public' AND (qual = 'true' OR with_check = 'true')
           AND (tablename, policyname, cmd) NOT IN (
               ('tenants', 'tenants_identity_lookup', 'SELECT'), ('api_keys', 'api_keys_identity_lookup', 'SELECT'), ('api_keys', 'api_keys_identity_use', 'UPDATE'),
               ('tenants', 'tenants_statistics', 'SELECT'), ('documents', 'documents_statistics', 'SELECT'),
               ('cost_tracking', 'cost_tracking_statistics', 'SELECT'), ('embedding_attempts', 'embedding_attempts_statistics', 'SELECT'),
               ('budget_alerts', 'budget_alerts_statistics', 'SELECT'), ('audit_logs', 'audit_logs_statistics', 'SELECT'),
               ('audit_logs_default', 'audit_logs_default_statistics', 'SELECT'), ('cost_tracking_default', 'cost_tracking_default_statistics', 'SELECT'),
               ('tenant_usage', 'tenant_usage_statistics', 'SELECT'), ('index_state', 'index_state_statistics', 'SELECT'),
               ('call_intents', 'call_intents_reaper', 'ALL'), ('audit_logs', 'audit_logs_reaper_adds', 'INSERT'), ('audit_logs', 'audit_logs_reaper_reads', 'SELECT'))",
    ),
    (
        "partitions are shut",
        with_tenant_tables!(
            "SELECT p.name FROM partitions p
             WHERE NOT (p.relrowsecurity AND p.relforcerowsecurity)
                OR EXISTS (SELECT FROM pg_policy y WHERE y.polrelid = p.oid
                           -- So that rows without a month are found and moved, by the owner as administrator.
                           AND NOT (p.name LIKE '%\\_default' AND y.polroles = ARRAY['bailiwick_owner'::regrole::oid]
                                    AND pg_get_expr(y.polqual, y.polrelid) = '(current_setting(''app.current_user_role''::text, true) = ''admin''::text)')
                           -- And counted.
                           AND NOT (p.name LIKE '%\\_default' AND y.polroles = ARRAY['bailiwick_statistics'::regrole::oid] AND y.polcmd = 'r'))
                OR has_any_column_privilege('bailiwick_app', p.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
                OR has_table_privilege('bailiwick_app', p.oid, 'DELETE, TRUNCATE, TRIGGER')"
        ),
    ),
    (
        "unique keys include the tenant",
        with_tenant_tables!(
            "SELECT t.name || ': ' || i.indexrelid::regclass::text
             FROM tenant_tables t JOIN pg_index i ON i.indrelid = t.oid AND i.indisunique
             WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = t.tenant_column
                                 AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]))
               -- A slug names a tenant in configuration, and only administrators insert one.
               AND i.indexrelid::regclass::text <> 'tenants_slug_unique'"
        ),
    ),
    (
        "foreign keys between tenant tables include the tenant",
        with_tenant_tables!(
            "SELECT k.conname FROM pg_constraint k JOIN tenant_tables f ON f.oid = k.conrelid JOIN tenant_tables r ON r.oid = k.confrelid
             WHERE k.contype = 'f' AND NOT EXISTS (
                 SELECT FROM unnest(k.conkey, k.confkey) AS pair (ours, theirs)
                 JOIN pg_attribute a ON a.attrelid = f.oid AND a.attnum = pair.ours AND a.attname = f.tenant_column
                 JOIN pg_attribute b ON b.attrelid = r.oid AND b.attnum = pair.theirs AND b.attname = r.tenant_column)"
        ),
    ),
    (
        "rows can be spread over machines by their tenant",
        // What Citus asks of a distributed table (`docs/scaling.md`), and what any other way of spreading them would.
        with_tenant_tables!(
            "SELECT t.name || ': its tenant may be absent, or is no uuid' FROM tenant_tables t
             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = t.tenant_column
             WHERE NOT a.attnotnull OR a.atttypid <> 'uuid'::regtype
             UNION ALL
             SELECT t.name || ': no primary key' FROM tenant_tables t
             WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'p')
             UNION ALL
             SELECT t.name || ': ' || k.conname FROM tenant_tables t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'x'
             UNION ALL
             -- A partition's rows are found by its tenant, or its key stands beside the tenant in the primary key.
             SELECT t.name || ': partitioned by another column' FROM tenant_tables t
             JOIN pg_partitioned_table p ON p.partrelid = t.oid
             JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p'
             WHERE NOT string_to_array(p.partattrs::text, ' ')::smallint[] <@ k.conkey
             UNION ALL
             SELECT t.name || ': numbers of ' || s.seqrelid::regclass FROM tenant_tables t
             JOIN pg_attrdef d ON d.adrelid = t.oid
             JOIN pg_depend n ON n.classid = 'pg_attrdef'::regclass AND n.objid = d.oid AND n.refclassid = 'pg_class'::regclass
             JOIN pg_sequence s ON s.seqrelid = n.refobjid
             -- Machines take numbers from parts of a sequence's range.
             WHERE s.seqtypid <> 'bigint'::regtype"
        ),
    ),
    (
        "foreign keys lead to rows of the same tenant or to tables that every machine has",
        with_tenant_tables!(
            "SELECT k.conname || ' of ' || k.conrelid::regclass FROM pg_constraint k
             LEFT JOIN tenant_tables f ON f.oid = k.conrelid LEFT JOIN tenant_tables r ON r.oid = k.confrelid
             JOIN pg_class ours ON ours.oid = k.conrelid AND ours.relnamespace = 'public'::regnamespace AND NOT ours.relispartition
             WHERE k.contype = 'f' AND (
                 -- What every machine has may not hang on what one has.
                 f.name IS NULL AND r.name IS NOT NULL AND r.name <> 'tenants'
                 OR f.name IS NOT NULL AND r.name IS NULL
                    AND k.confrelid::regclass::text NOT IN ('embedding_models', 'model_prices', 'embedding_state', 'cost_retention')
                 -- Setting a key to NULL would take the row from its tenant.
                 OR f.name IS NOT NULL AND (k.confdeltype IN ('n', 'd') OR k.confupdtype IN ('n', 'd', 'c')))"
        ),
    ),
    (
        "tables without a tenant are the known ones",
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
           AND c.relname NOT IN ('tenants', 'embedding_models', 'embedding_state', 'model_prices', 'cost_retention', 'audit_seals', 'schema_migrations', 'bailiwick_migrations')",
    ),
    (
        "views do not go round row-level security",
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public'
           AND (c.relkind = 'm' AND has_table_privilege('bailiwick_app', c.oid, 'SELECT')
                OR c.relkind = 'v' AND NOT coalesce(c.reloptions @> '{security_invoker=true}', false)
                   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))",
    ),
    (
        "the application's role has no power of its own",
        "SELECT 'attribute' FROM pg_roles WHERE rolname = 'bailiwick_app'
             AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)
         UNION ALL SELECT 'member of ' || roleid::regrole FROM pg_auth_members WHERE member = 'bailiwick_app'::regrole
         UNION ALL SELECT 'owns ' || relname FROM pg_class WHERE relowner = 'bailiwick_app'::regrole
         UNION ALL SELECT 'creates in ' || nspname FROM pg_namespace WHERE has_schema_privilege('bailiwick_app', oid, 'CREATE')
         UNION ALL SELECT 'creates schemas' WHERE has_database_privilege('bailiwick_app', current_database(), 'CREATE')
         UNION ALL SELECT 'makes temporary tables' WHERE has_database_privilege('bailiwick_app', current_database(), 'TEMPORARY')",
    ),
    (
        "the application's grants are bounded",
        "SELECT c.relname || ' ' || privilege
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege('bailiwick_app', c.oid, privilege)
           AND (c.relname::text, privilege) NOT IN (
               ('documents', 'INSERT'), ('documents', 'UPDATE'), ('documents', 'DELETE'),
               ('document_chunks', 'INSERT'), ('document_chunks', 'UPDATE'), ('document_chunks', 'DELETE'),
               ('idempotency_keys', 'INSERT'), ('idempotency_keys', 'UPDATE'),
               ('embedding_attempts', 'INSERT'), ('embedding_attempts', 'UPDATE'), ('embedding_attempts', 'DELETE'),
               ('call_intents', 'INSERT'), ('cost_tracking', 'INSERT'))",
    ),
    (
        "definer functions are closed",
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = 'public' AND p.prosecdef
           AND (NOT coalesce(p.proconfig @> '{\"search_path=pg_catalog, public, pg_temp\"}', false)
                OR p.proowner NOT IN ('bailiwick_definer'::regrole, 'bailiwick_identity'::regrole, 'bailiwick_statistics'::regrole, 'bailiwick_reaper'::regrole)
                OR has_function_privilege('public', p.oid, 'EXECUTE'))",
    ),
    (
        "functions are executed by whom they are meant for",
        "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = 'public' AND has_function_privilege('bailiwick_app', p.oid, 'EXECUTE')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
           AND p.proname NOT IN (
               'current_tenant_id', 'cosine_similarity', 'euclidean_distance', 'resolve_tenant', 'authenticate_api_key', 'note_api_key_use',
               'register_embedding_model', 'adopt_embedding_model', 'tenants_to_embed', 'budget_accounts', 'budget_limits', 'cost_period', 'cost_spans', 'is_time_zone', 'local_midnight', 'open_budget_alerts', 'reserve_budget', 'reserved_budget', 'text_search_configuration', 'estonian_configuration', 'text_terms', 'query_terms', 'document_facets', 'nested_facets', 'chunk_terms', 'chunk_entry', 'index_ahead', 'east_asian_runs', 'east_asian_pairs', 'spaced_words',
               'allocate_chunk_numbers', 'complete_call', 'close_calls', 'reap_calls', 'audit_sealed_until', 'current_tenant_statistics', 'upkeep_backlog', 'hybrid_search', 'block_postings')",
    ),
    (
        "what counts the backlog reads no more than it needs",
        "SELECT c.relname || ': ' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'public'::regnamespace
           AND c.relname IN ('audit_logs', 'audit_logs_default', 'cost_tracking_default', 'tenant_usage', 'index_state', 'audit_seals')
           AND has_column_privilege('bailiwick_statistics', c.oid, a.attnum, 'SELECT')
           AND (c.relname::text, a.attname::text) NOT IN (
               ('audit_logs', 'id'), ('audit_logs', 'completed_at'), ('audit_logs_default', 'id'), ('cost_tracking_default', 'id'),
               ('tenant_usage', 'tenant_id'), ('tenant_usage', 'next_chunk_no'), ('index_state', 'tenant_id'), ('index_state', 'merged_through'),
               ('audit_seals', 'seal_no'), ('audit_seals', 'last_id'))",
    ),
    (
        "function owners and the owner log in nowhere",
        "SELECT rolname::text FROM pg_roles
         WHERE rolname IN ('bailiwick_owner', 'bailiwick_definer', 'bailiwick_identity', 'bailiwick_statistics', 'bailiwick_reaper')
           AND (rolcanlogin OR rolsuper OR rolbypassrls)",
    ),
    (
        "the owner does not inherit the function owners' policies",
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'bailiwick_owner'::regrole AND inherit_option",
    ),
    (
        "tables are described",
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
           AND c.relname NOT IN ('schema_migrations', 'bailiwick_migrations')
           AND obj_description(c.oid, 'pg_class') IS NULL",
    ),
    (
        "default partitions are there and empty",
        "SELECT 'audit_logs' WHERE to_regclass('audit_logs_default') IS NULL
         UNION ALL SELECT 'cost_tracking' WHERE to_regclass('cost_tracking_default') IS NULL
         UNION ALL SELECT 'audit_logs_default has rows' FROM audit_logs_default
         UNION ALL SELECT 'cost_tracking_default has rows' FROM cost_tracking_default",
    ),
    (
        "three months are prepared",
        "SELECT parent || ' ' || month::date FROM unnest(ARRAY['audit_logs', 'cost_tracking']) AS parent,
             generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'), date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months', '1 month') AS month
         WHERE to_regclass(format('%s_%s', parent, to_char(month, 'YYYY_MM'))) IS NULL",
    ),
];
