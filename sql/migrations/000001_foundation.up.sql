-- Extensions, roles and the functions that every later step leans on.
-- Run as an administrator: a superuser, or a role with CREATEROLE that owns the database, or one that only owns the database where
-- somebody else has run what `bailiwick migrate --print-roles` prints.

CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- Roles are cluster-wide and may already serve another database, so each is made only where it is missing.
DO $roles$
DECLARE
    v_role record;
BEGIN
    FOR v_role IN
        SELECT * FROM (VALUES
            ('bailiwick_owner',       'NOLOGIN'),            -- owns every object
            ('bailiwick_definer',     'NOLOGIN'),            -- owns functions that act inside a tenant's context
            ('bailiwick_identity',    'NOLOGIN'),            -- owns the functions that look a caller up before there is a context
            ('bailiwick_statistics',  'NOLOGIN'),            -- owns the statistics view, which reads all tenants
            ('bailiwick_reaper',      'NOLOGIN'),            -- owns the function that closes calls whose server is gone, of all tenants
            ('bailiwick_app',         'LOGIN'),              -- what the server connects as: no power of its own
            ('bailiwick_maintenance', 'LOGIN'),              -- administration and background maintenance
            ('bailiwick_backup',      'LOGIN BYPASSRLS')     -- pg_dump
        ) AS wanted (name, attributes)
    LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = v_role.name) THEN
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE %s', v_role.name, v_role.attributes);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this cluster was migrated at the same instant
            WHEN insufficient_privilege THEN
                IF v_role.name <> 'bailiwick_backup' THEN
                    RAISE;
                END IF;
                -- A managed service lets only itself grant BYPASSRLS.
                CREATE ROLE bailiwick_backup NOSUPERUSER LOGIN;
                RAISE NOTICE 'bailiwick_backup could not be given BYPASSRLS: backups need a role that has it';
        END;
    END LOOP;
END
$roles$;

DO $memberships$
DECLARE
    v_grant record;
BEGIN
    FOR v_grant IN
        SELECT * FROM (VALUES
            ('bailiwick_owner',      'bailiwick_maintenance', 'INHERIT TRUE'),
            -- So that a migration may hand functions over. Not inherited: the owner must not come under their policies.
            ('bailiwick_definer',    'bailiwick_owner', 'INHERIT FALSE'),
            ('bailiwick_identity',   'bailiwick_owner', 'INHERIT FALSE'),
            ('bailiwick_statistics', 'bailiwick_owner', 'INHERIT FALSE'),
            ('bailiwick_reaper',     'bailiwick_owner', 'INHERIT FALSE')
        ) AS wanted (granted, member, inheritance)
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_auth_members
            WHERE roleid = v_grant.granted::regrole AND member = v_grant.member::regrole
        ) THEN
            EXECUTE format('GRANT %I TO %I WITH %s, SET TRUE', v_grant.granted, v_grant.member, v_grant.inheritance);
        END IF;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND NOT pg_has_role(current_user, 'bailiwick_owner', 'SET') THEN
        EXECUTE format('GRANT bailiwick_owner TO %I WITH SET TRUE, INHERIT TRUE', current_user);
    END IF;
END
$memberships$;

-- So far `bailiwick migrate --print-roles`; from here on it takes no power over roles.
DO $database$
BEGIN
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO bailiwick_app, bailiwick_maintenance, bailiwick_backup', current_database());
    -- REFRESH MATERIALIZED VIEW CONCURRENTLY compares through a temporary table.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO bailiwick_statistics', current_database());
END
$database$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- A role can own a function only where it may create one; none of these can log in.
GRANT USAGE, CREATE ON SCHEMA public TO bailiwick_owner, bailiwick_definer, bailiwick_identity, bailiwick_statistics, bailiwick_reaper;
GRANT USAGE ON SCHEMA public TO bailiwick_app, bailiwick_backup;

-- The server compares the schema's version with its own before it serves.
DO $versions$
DECLARE
    v_table record;
BEGIN
    FOR v_table IN SELECT to_regclass(name) AS id
                   FROM unnest(ARRAY['public.schema_migrations', 'public.bailiwick_migrations']) AS name LOOP
        IF v_table.id IS NOT NULL THEN
            EXECUTE format('GRANT SELECT ON %s TO bailiwick_app, bailiwick_maintenance, bailiwick_backup', v_table.id);
        END IF;
    END LOOP;
END
$versions$;

SET LOCAL ROLE bailiwick_owner;

-- Functions are nobody's to call until they are granted by name.
ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner IN SCHEMA public GRANT SELECT ON TABLES TO bailiwick_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner IN SCHEMA public GRANT SELECT ON SEQUENCES TO bailiwick_backup;

CREATE FUNCTION current_tenant_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('app.current_tenant_id', true), '')::uuid $$;
COMMENT ON FUNCTION current_tenant_id() IS
    'The tenant whose rows this transaction may see; NULL without a context. A pooled session whose SET LOCAL has ended reads '''', hence nullif.';
GRANT EXECUTE ON FUNCTION current_tenant_id() TO PUBLIC;

CREATE FUNCTION update_updated_at_column() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    -- Always later than before: whoever read the old state must see that it has changed.
    NEW.updated_at = greatest(now(), OLD.updated_at + interval '1 microsecond');
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION update_updated_at_column() IS 'Trigger: stamps updated_at with the transaction''s time, and moves it forward at every change.';

CREATE FUNCTION cosine_similarity(a vector, b vector) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT 1 - (a <=> b) $$;
COMMENT ON FUNCTION cosine_similarity(vector, vector) IS 'Cosine of the angle between two embeddings: 1 same direction, 0 unrelated, -1 opposite.';

CREATE FUNCTION euclidean_distance(a vector, b vector) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT a <-> b $$;
COMMENT ON FUNCTION euclidean_distance(vector, vector) IS 'L2 distance between two embeddings.';

GRANT EXECUTE ON FUNCTION cosine_similarity(vector, vector), euclidean_distance(vector, vector) TO bailiwick_app;

CREATE FUNCTION protect_tenant_table(p_table regclass, p_tenant_column name DEFAULT 'tenant_id') RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    -- Without FORCE the table's owner would see every row.
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
    -- The comparison stands here in full: behind a function or a sub-select the planner could not estimate the tenant.
    EXECUTE format($policy$
        CREATE POLICY tenant_isolation_policy ON %1$s FOR ALL
        USING (%2$I = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
        WITH CHECK (%2$I = nullif(current_setting('app.current_tenant_id', true), '')::uuid)
    $policy$, p_table, p_tenant_column);
    -- The setting alone opens nothing: whoever may set it must also be a member of the owner, which the server's role is not.
    EXECUTE format($policy$
        CREATE POLICY admin_full_access_policy ON %s FOR ALL TO bailiwick_owner
        USING (current_setting('app.current_user_role', true) = 'admin')
        WITH CHECK (current_setting('app.current_user_role', true) = 'admin')
    $policy$, p_table);
END
$$;
COMMENT ON FUNCTION protect_tenant_table(regclass, name) IS
    'Enables and forces row-level security on a tenant table and gives it the two policies that every tenant table has.';

CREATE FUNCTION row_checksums(p_table regclass) RETURNS TABLE (tenant_id uuid, row_count bigint, checksum text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant text;
    v_columns text;
    v_lanes text;
BEGIN
    -- Binary forms, but for those that hold object ids, which a restore gives out anew.
    SELECT coalesce(max(CASE WHEN a.attname = 'tenant_id' OR (a.attname = 'id' AND p_table = 'public.tenants'::regclass) THEN format('t.%I', a.attname) END), 'NULL::uuid'),
           string_agg(CASE WHEN y.typsend = 0 OR y.typtype IN ('c', 'p') OR y.typsend::text LIKE 'reg%' OR y.typelem >= 16384
                           THEN format('textsend(t.%I::text)', a.attname)
                           ELSE format('%s(t.%I)', y.typsend, a.attname) END, ', ' ORDER BY a.attname COLLATE "C")
    INTO v_tenant, v_columns
    FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = p_table AND a.attnum > 0 AND NOT a.attisdropped;
    -- A sum goes by no order, and each lane of it is taken modulo 2^64.
    SELECT string_agg(format('lpad(to_hex((mod(mod(sum((''x'' || encode(substr(r.hash, %s, 8), ''hex''))::bit(64)::bigint), 2^64::numeric) + 2^64::numeric + 2^63::numeric, 2^64::numeric) - 2^63::numeric)::bigint), 16, ''0'')', 8 * lane + 1), ' || ' ORDER BY lane)
    INTO v_lanes
    FROM generate_series(0, 3) AS lane;
    RETURN QUERY EXECUTE format(
        'SELECT r.tenant, count(*), %s FROM (SELECT %s AS tenant, sha256(record_send(ROW(%s))) AS hash FROM %s AS t) AS r GROUP BY r.tenant ORDER BY r.tenant',
        v_lanes, v_tenant, v_columns, p_table);
END
$$;
COMMENT ON FUNCTION row_checksums(regclass) IS
    'Counts a table''s rows by tenant (NULL where it has none) and sums them up, whatever their order: four sums of 64 bits over the SHA-256 of each row. What a backup''s manifest holds and a restore is compared with.';
GRANT EXECUTE ON FUNCTION row_checksums(regclass) TO bailiwick_backup;
