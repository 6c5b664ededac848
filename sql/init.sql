-- Bailiwick: the whole schema, at version 11.
-- GENERATED from sql/migrations; do not edit. A test compares the two.
--
-- For a new, empty database, as its administrator:
--     psql -v ON_ERROR_STOP=1 -f sql/init.sql
-- with another number of dimensions than 1536:
--     PGOPTIONS='-c bailiwick.embedding_dimensions=768' psql -v ON_ERROR_STOP=1 -f sql/init.sql
--
-- All or nothing. It leaves the records of a migrated database, so that from here on
-- `bailiwick migrate up` (or golang-migrate) applies what later versions add.

BEGIN;

-- migrate/create_state: golang-migrate's own table (the truth on the version) and our history beside it.
CREATE TABLE IF NOT EXISTS public.schema_migrations (
    version bigint NOT NULL PRIMARY KEY,
    dirty boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS public.bailiwick_migrations (
    version bigint PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    duration_ms integer
);
COMMENT ON TABLE public.bailiwick_migrations IS
    'History of the applied migrations: checksum is the sha256 (hex) of the .up.sql file.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM public.schema_migrations) THEN
        RAISE EXCEPTION 'this database already has a schema, at version %', (SELECT max(version) FROM public.schema_migrations)
            USING HINT = 'Run `bailiwick migrate up` instead.';
    END IF;
END
$$;

-- ==== 000001_foundation.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

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

-- ==== 000002_tenants.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- Tenants, what they use, and the keys that open their door.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE tenants (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name               text NOT NULL,
    slug               text NOT NULL,
    settings           jsonb NOT NULL DEFAULT '{}',
    max_documents      integer,
    max_storage_mb     integer,
    monthly_budget_usd numeric(24, 12),
    status             text NOT NULL DEFAULT 'active',
    audit_key          bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz,
    status_before_deletion text,
    purge_began_at     timestamptz,
    import_sha256      bytea,
    -- The slug names the tenant in configuration, so it is unique over all of them; only administrators may insert one,
    -- which is why this key is no oracle to a tenant.
    CONSTRAINT tenants_slug_unique UNIQUE (slug),
    CONSTRAINT tenants_slug_format CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT tenants_name_not_empty CHECK (length(trim(name)) > 0),
    CONSTRAINT tenants_status_known CHECK (status IN ('active', 'suspended', 'deleted')),
    CONSTRAINT tenants_settings_is_object CHECK (jsonb_typeof(settings) = 'object'),
    CONSTRAINT tenants_max_documents_not_negative CHECK (max_documents >= 0),
    CONSTRAINT tenants_max_storage_not_negative CHECK (max_storage_mb >= 0),
    -- NaN is above every number, so as a limit it would be none.
    CONSTRAINT tenants_budget_not_negative CHECK (monthly_budget_usd >= 0 AND monthly_budget_usd < 'NaN'),
    CONSTRAINT tenants_ends_are_of_deleted CHECK (status = 'deleted' OR (deleted_at IS NULL AND purge_began_at IS NULL AND import_sha256 IS NULL))
);
COMMENT ON TABLE tenants IS 'Organisations that share this server; each sees only its own row.';
COMMENT ON COLUMN tenants.slug IS 'Short name for configuration and the command line.';
COMMENT ON COLUMN tenants.settings IS 'Per-tenant settings: tier, default_language, bm25 parameters, audit options.';
COMMENT ON COLUMN tenants.max_documents IS 'Document quota; NULL is unlimited.';
COMMENT ON COLUMN tenants.max_storage_mb IS 'Quota for the bytes of titles and contents, in MiB; NULL is unlimited.';
COMMENT ON COLUMN tenants.monthly_budget_usd IS 'Spending limit for a UTC calendar month; NULL is unlimited.';
COMMENT ON COLUMN tenants.audit_key IS 'Keys the HMAC that stands for a query in the audit trail: equal queries of one tenant are seen to be equal, and nothing more.';
COMMENT ON COLUMN tenants.deleted_at IS 'Since when nobody gets in; its rows are purged some days after.';
COMMENT ON COLUMN tenants.status_before_deletion IS 'What `bailiwick tenant restore` makes it again.';
COMMENT ON COLUMN tenants.purge_began_at IS 'From then on it cannot be restored, for some of its rows are gone.';
COMMENT ON COLUMN tenants.import_sha256 IS 'While it is imported, and nobody gets in: the checksum of the file, so that the same one can go on where it was broken off.';
CREATE INDEX idx_tenants_status ON tenants (status);
SELECT protect_tenant_table('tenants', 'id');
GRANT SELECT ON tenants TO bailiwick_app, bailiwick_definer;

CREATE TRIGGER update_tenants_updated_at
    BEFORE UPDATE ON tenants
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE FUNCTION note_tenant_deletion() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NEW.status <> 'deleted' THEN
        NEW.deleted_at = NULL;
        NEW.status_before_deletion = NULL;
    ELSIF TG_OP = 'INSERT' THEN
        NEW.deleted_at = now();
    ELSIF OLD.status <> 'deleted' THEN
        NEW.deleted_at = now();
        NEW.status_before_deletion = OLD.status;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_tenant_deletion() IS 'Trigger: notes when a tenant was deleted, by whoever it was, and what it had been.';
CREATE TRIGGER note_tenant_deletion
    BEFORE INSERT OR UPDATE OF status ON tenants
    FOR EACH ROW EXECUTE FUNCTION note_tenant_deletion();

CREATE TABLE tenant_usage (
    tenant_id      uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    document_count bigint NOT NULL DEFAULT 0,
    storage_bytes  bigint NOT NULL DEFAULT 0,
    chunk_count    bigint NOT NULL DEFAULT 0,
    total_length   bigint NOT NULL DEFAULT 0,
    next_chunk_no  integer NOT NULL DEFAULT 1,
    buried_chunks  bigint NOT NULL DEFAULT 0,
    CONSTRAINT tenant_usage_not_negative
        CHECK (document_count >= 0 AND storage_bytes >= 0 AND chunk_count >= 0 AND total_length >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE tenant_usage IS
    'One row a tenant, kept by triggers: what counts against its quotas, and the collection statistics of its BM25 (chunk_count is N, total_length / chunk_count the mean length).';
COMMENT ON COLUMN tenant_usage.next_chunk_no IS 'Chunk numbers are dense per tenant and never used again.';
COMMENT ON COLUMN tenant_usage.buried_chunks IS 'Tombstones ever made: with index_state.purged_chunks it tells how many stand, without counting them.';
SELECT protect_tenant_table('tenant_usage');
GRANT SELECT ON tenant_usage TO bailiwick_app;
GRANT SELECT, UPDATE ON tenant_usage TO bailiwick_definer;

CREATE FUNCTION open_tenant_usage() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO tenant_usage (tenant_id) VALUES (NEW.id);
    RETURN NEW;
END
$$;
CREATE TRIGGER open_tenant_usage
    AFTER INSERT ON tenants
    FOR EACH ROW EXECUTE FUNCTION open_tenant_usage();

CREATE TABLE tenant_languages (
    tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    language  text NOT NULL,
    PRIMARY KEY (tenant_id, language)
);
COMMENT ON TABLE tenant_languages IS 'Languages a tenant''s documents have been indexed in: a query is analysed in each of them.';
SELECT protect_tenant_table('tenant_languages');
GRANT SELECT ON tenant_languages TO bailiwick_app;
GRANT SELECT, INSERT ON tenant_languages TO bailiwick_definer;

CREATE TABLE api_keys (
    tenant_id    uuid NOT NULL REFERENCES tenants (id),
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id      text NOT NULL,
    key_prefix   text NOT NULL,
    key_sha256   bytea NOT NULL,
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT api_keys_sha256_length CHECK (octet_length(key_sha256) = 32),
    CONSTRAINT api_keys_scopes_not_null CHECK (array_position(scopes, NULL) IS NULL)
);
COMMENT ON TABLE api_keys IS 'Credentials for HTTP callers; only the SHA-256 of a key is kept.';
COMMENT ON COLUMN api_keys.key_prefix IS 'Public characters of the key, by which people recognise it; not derived from its secret.';
COMMENT ON COLUMN api_keys.expires_at IS 'When the key ends by itself; NULL is never.';
COMMENT ON COLUMN api_keys.last_used_at IS 'Moved at most once a minute.';
-- Not unique: a key is 256 random bits, and a unique key without tenant_id would tell one tenant of another's.
CREATE INDEX idx_api_keys_sha256 ON api_keys (key_sha256);
SELECT protect_tenant_table('api_keys');

-- Whoever knocks has no tenant context yet, so these two tables open to the owner of the look-up functions, for reading.
CREATE POLICY tenants_identity_lookup ON tenants FOR SELECT TO bailiwick_identity USING (true);
CREATE POLICY api_keys_identity_lookup ON api_keys FOR SELECT TO bailiwick_identity USING (true);
GRANT SELECT ON tenants, api_keys TO bailiwick_identity;
CREATE POLICY api_keys_identity_use ON api_keys FOR UPDATE TO bailiwick_identity USING (true) WITH CHECK (true);
GRANT UPDATE (last_used_at) ON api_keys TO bailiwick_identity;

CREATE FUNCTION resolve_tenant(p_name text)
RETURNS TABLE (id uuid, slug text, status text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT t.id, t.slug, t.status FROM tenants t WHERE t.slug = p_name OR t.id::text = lower(p_name)
$$;
COMMENT ON FUNCTION resolve_tenant(text) IS 'Looks a tenant up by slug or id when the server starts, before there is a context.';
GRANT EXECUTE ON FUNCTION resolve_tenant(text) TO bailiwick_app;
ALTER FUNCTION resolve_tenant(text) OWNER TO bailiwick_identity;

CREATE FUNCTION authenticate_api_key(p_key_sha256 bytea)
RETURNS TABLE (tenant_id uuid, tenant_slug text, tenant_status text, key_id uuid, user_id text, scopes text[], expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT k.tenant_id, t.slug, t.status, k.id, k.user_id, k.scopes, k.expires_at
    FROM api_keys k
    JOIN tenants t ON t.id = k.tenant_id
    WHERE k.key_sha256 = p_key_sha256
      AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
COMMENT ON FUNCTION authenticate_api_key(bytea) IS 'The principal of a live API key, by the SHA-256 of the key.';
GRANT EXECUTE ON FUNCTION authenticate_api_key(bytea) TO bailiwick_app;
ALTER FUNCTION authenticate_api_key(bytea) OWNER TO bailiwick_identity;

CREATE FUNCTION note_api_key_use(p_tenant_id uuid, p_key_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    -- Whoever waited for another's note finds the condition no longer true.
    UPDATE api_keys SET last_used_at = now()
    WHERE tenant_id = p_tenant_id AND id = p_key_id
      AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
$$;
COMMENT ON FUNCTION note_api_key_use(uuid, uuid) IS 'Moves a key''s last_used_at forward, at most once a minute, before there is a context.';
GRANT EXECUTE ON FUNCTION note_api_key_use(uuid, uuid) TO bailiwick_app;
ALTER FUNCTION note_api_key_use(uuid, uuid) OWNER TO bailiwick_identity;

-- Purging deleted tenants. By the catalog, so that a table that is added later is purged by itself.
SET LOCAL ROLE bailiwick_owner;
CREATE FUNCTION purge_tenant_rows(p_tenant_id uuid, p_limit integer) RETURNS TABLE (table_name text, row_count bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- What was done and what was paid is kept, until its months are retired. Calls under way are closed by whoever runs them.
    v_kept constant text[] := ARRAY['audit_logs', 'cost_tracking', 'cost_kinds', 'cost_sums', 'budget_ledger', 'call_intents'];
    v_table regclass;
    v_gone bigint;
BEGIN
    PERFORM FROM tenants t WHERE t.id = p_tenant_id AND t.status = 'deleted' AND t.purge_began_at IS NOT NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only a tenant that was deleted can be purged' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOR v_table IN
        WITH RECURSIVE tenant_tables AS (
            SELECT c.oid AS id FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND c.relname <> ALL (v_kept)
              AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
        ), depths (id, depth) AS (
            SELECT t.id, 0 FROM tenant_tables t
            UNION ALL
            SELECT t.id, d.depth + 1
            FROM depths d
            JOIN pg_constraint k ON k.confrelid = d.id AND k.contype = 'f' AND k.conrelid <> d.id
            JOIN tenant_tables t ON t.id = k.conrelid
            WHERE d.depth < 10
        )
        -- What refers to others goes before them.
        SELECT d.id::regclass FROM depths d GROUP BY d.id ORDER BY max(d.depth) DESC, d.id::regclass::text
    LOOP
        EXECUTE format('DELETE FROM %1$s WHERE tenant_id = $1 AND ctid = ANY (ARRAY(SELECT ctid FROM %1$s WHERE tenant_id = $1 LIMIT $2))', v_table)
            USING p_tenant_id, p_limit;
        GET DIAGNOSTICS v_gone = ROW_COUNT;
        IF v_gone > 0 THEN
            RETURN QUERY SELECT v_table::text, v_gone;
            RETURN;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION purge_tenant_rows(uuid, integer) IS
    'Deletes some rows of one table of a deleted tenant and says which; no row once all are gone but those of the trail and the costs, and its own.';

-- ==== 000003_documents.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- Documents and the chunks that are retrieved.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE embedding_models (
    id         smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    dimensions integer NOT NULL,
    provider   text NOT NULL DEFAULT 'caller',
    languages  text[],
    prompt_style text NOT NULL DEFAULT 'none',
    longest_tokens integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT embedding_models_name_unique UNIQUE (name),
    CONSTRAINT embedding_models_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT embedding_models_prompt_style_known CHECK (prompt_style IN ('none', 'e5', 'own', 'input_type')),
    CONSTRAINT embedding_models_longest_tokens_positive CHECK (longest_tokens > 0)
);
COMMENT ON TABLE embedding_models IS 'Models whose vectors are stored here; vectors of different models are never compared. Shared by all tenants.';
COMMENT ON COLUMN embedding_models.provider IS 'Who runs it: local is the server itself, caller is whoever gives vectors.';
COMMENT ON COLUMN embedding_models.languages IS 'ISO 639 codes of the languages it covers; NULL is all, as far as is known.';
COMMENT ON COLUMN embedding_models.prompt_style IS 'What goes before texts: none, e5 (query: and passage:), own (the model''s own prompts); input_type leaves it to the service.';
COMMENT ON COLUMN embedding_models.longest_tokens IS 'Tokens of a text that it reads: passages are cut so that they fit with their title; NULL if only its server knows.';
GRANT SELECT ON embedding_models TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE ON embedding_models TO bailiwick_definer;

CREATE TABLE embedding_state (
    singleton        boolean PRIMARY KEY DEFAULT true,
    current_model_id smallint REFERENCES embedding_models (id),
    next_model_id    smallint REFERENCES embedding_models (id),
    CONSTRAINT embedding_state_one_row CHECK (singleton)
);
COMMENT ON TABLE embedding_state IS
    'Which model documents are embedded with. Servers of another model leave documents and vectors alone; `bailiwick embed` moves from one to the next.';
COMMENT ON COLUMN embedding_state.next_model_id IS 'The model that is being moved to: its vectors fill the columns next_embedding.';
INSERT INTO embedding_state DEFAULT VALUES;
GRANT SELECT ON embedding_state TO bailiwick_app;
GRANT SELECT, UPDATE ON embedding_state TO bailiwick_definer;

CREATE TABLE documents (
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id        uuid NOT NULL REFERENCES tenants (id),
    title            text NOT NULL,
    content          text NOT NULL,
    source           text,
    metadata         jsonb NOT NULL DEFAULT '{}',
    language         text NOT NULL DEFAULT 'en',
    content_sha256   bytea NOT NULL,
    embedding_model  text,
    next_embedding_model text,
    embedding_status text NOT NULL DEFAULT 'pending',
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT documents_title_not_empty CHECK (length(trim(title)) > 0),
    CONSTRAINT documents_content_not_empty CHECK (length(trim(content)) > 0),
    -- Both are keys of indexes, whose entries are bounded.
    CONSTRAINT documents_title_length CHECK (length(title) <= 500),
    CONSTRAINT documents_source_length CHECK (octet_length(source) <= 2000),
    CONSTRAINT documents_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT documents_language_format CHECK (language ~ '^([a-z]{2,3}|simple)$'),
    CONSTRAINT documents_embedding_status_known CHECK (embedding_status IN ('pending', 'embedded', 'failed'))
);

CREATE TABLE document_chunks (
    tenant_id          uuid NOT NULL,
    chunk_no           integer NOT NULL,
    document_id        uuid NOT NULL,
    ordinal            integer NOT NULL,
    char_start         integer NOT NULL,
    char_end           integer NOT NULL,
    token_count        integer NOT NULL,
    embedding_model_id smallint REFERENCES embedding_models (id),
    next_embedding_model_id smallint REFERENCES embedding_models (id),
    PRIMARY KEY (tenant_id, chunk_no),
    CONSTRAINT document_chunks_document FOREIGN KEY (tenant_id, document_id)
        REFERENCES documents (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT document_chunks_one_per_ordinal UNIQUE (tenant_id, document_id, ordinal),
    CONSTRAINT document_chunks_range CHECK (chunk_no >= 0 AND ordinal BETWEEN 0 AND chunk_no AND char_start >= 0 AND char_end > char_start)
) PARTITION BY HASH (tenant_id);

-- The dimension is settled once, when the database is made. pgvector indexes halfvec up to 4,000 dimensions, and a
-- vector of more would not fit a page beside its row.
DO $embedding$
DECLARE
    v_dimensions integer := coalesce(nullif(current_setting('bailiwick.embedding_dimensions', true), ''), '1536')::integer;
BEGIN
    IF v_dimensions NOT BETWEEN 1 AND 4000 THEN
        RAISE EXCEPTION 'embedding dimensions must be from 1 to 4000, got %', v_dimensions
            USING HINT = 'Set BAILIWICK_EMBEDDINGS_DIMENSIONS to the dimensions of your embedding model.';
    END IF;
    EXECUTE format('ALTER TABLE documents ADD COLUMN embedding vector(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE document_chunks ADD COLUMN embedding halfvec(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE documents ADD COLUMN next_embedding vector(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE document_chunks ADD COLUMN next_embedding halfvec(%s)', v_dimensions);
    -- PLAIN keeps the vector in the row: an exact scan reads it without a detour through TOAST.
    ALTER TABLE document_chunks ALTER COLUMN embedding SET STORAGE PLAIN;
    -- Beside the other one there may be no room for it in a page.
    ALTER TABLE document_chunks ALTER COLUMN next_embedding SET STORAGE MAIN;
    FOR v_partition IN 0..31 LOOP
        EXECUTE format(
            'CREATE TABLE document_chunks_p%1$s PARTITION OF document_chunks FOR VALUES WITH (MODULUS 32, REMAINDER %2$s)',
            lpad(v_partition::text, 2, '0'), v_partition);
        -- Queried by its own name a partition would skip its parent's policies: forced security with no policy shows nothing.
        EXECUTE format('ALTER TABLE document_chunks_p%s ENABLE ROW LEVEL SECURITY', lpad(v_partition::text, 2, '0'));
        EXECUTE format('ALTER TABLE document_chunks_p%s FORCE ROW LEVEL SECURITY', lpad(v_partition::text, 2, '0'));
    END LOOP;
END
$embedding$;

COMMENT ON TABLE documents IS 'The documents of all tenants, each visible to its own tenant only.';
COMMENT ON COLUMN documents.source IS 'Where it came from: a URL, a file name.';
COMMENT ON COLUMN documents.embedding IS
    'The document as a whole: the caller''s own vector, or the normalised mean of its chunks'' vectors. NULL until it is embedded.';
COMMENT ON COLUMN documents.embedding_model IS 'Name of the model of embedding, as in embedding_models.';
COMMENT ON COLUMN documents.embedding_status IS 'pending: waits for the embedder. embedded. failed: given up after several tries, see embedding_attempts.';
COMMENT ON COLUMN documents.next_embedding IS 'While the database moves to another model: the document by that model.';
COMMENT ON COLUMN documents.content_sha256 IS 'SHA-256 of the content in UTF-8, kept by a trigger: finds a re-upload.';
COMMENT ON COLUMN documents.metadata IS 'Free JSON object for filters, for example {"department": "hr", "tags": ["leave"]}.';
COMMENT ON COLUMN documents.language IS 'ISO 639 code; chooses the stemmer and stop words.';
COMMENT ON COLUMN documents.updated_at IS 'When title, content, source, metadata or language last changed; filling in an embedding does not move it.';
COMMENT ON TABLE document_chunks IS
    'The units of retrieval. A passage is characters char_start to char_end of the document''s content, half open. A document''s chunk numbers are consecutive, so chunk_no - ordinal identifies the document within its tenant.';
COMMENT ON COLUMN document_chunks.embedding IS
    'Unit vector of the passage. A vector that a caller gave for a whole document stands at its first chunk.';
COMMENT ON COLUMN document_chunks.next_embedding IS 'While the database moves to another model: the passage by that model, beside the vector that is searched.';

CREATE INDEX idx_documents_tenant_created ON documents (tenant_id, created_at DESC);
CREATE INDEX idx_documents_tenant_updated ON documents (tenant_id, updated_at);
CREATE INDEX idx_documents_tenant_title ON documents (tenant_id, title COLLATE "C");
CREATE INDEX idx_documents_source ON documents (tenant_id, source COLLATE "C", content_sha256) WHERE source IS NOT NULL;
CREATE INDEX idx_documents_embedding_pending ON documents (tenant_id, embedding_status, created_at) WHERE embedding_status <> 'embedded';

SELECT protect_tenant_table('documents'), protect_tenant_table('document_chunks');
GRANT SELECT, INSERT, UPDATE, DELETE ON documents, document_chunks TO bailiwick_app;
GRANT SELECT ON documents TO bailiwick_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_chunks TO bailiwick_definer;

CREATE TABLE embedding_attempts (
    tenant_id   uuid NOT NULL,
    document_id uuid NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    lease       bigint,
    error       text,
    PRIMARY KEY (tenant_id, document_id),
    CONSTRAINT embedding_attempts_document FOREIGN KEY (tenant_id, document_id)
        REFERENCES documents (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE embedding_attempts IS 'Pending documents that a server is embedding or has tried to; the row goes once the document is embedded.';
COMMENT ON COLUMN embedding_attempts.attempts IS 'Tries begun: counted first, so that a text that ends its server is not tried for ever.';
COMMENT ON COLUMN embedding_attempts.due_at IS 'Nobody else tries before: until then a server is at it, or waits after a failure.';
COMMENT ON COLUMN embedding_attempts.lease IS 'Advisory lock key that the server holds which is at it: should it die, others need not wait until due_at.';
COMMENT ON COLUMN embedding_attempts.error IS 'Why the last try failed. No text of the document.';
SELECT protect_tenant_table('embedding_attempts');
GRANT SELECT, INSERT, UPDATE, DELETE ON embedding_attempts TO bailiwick_app;

CREATE FUNCTION fingerprint_document() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.content_sha256 = sha256(convert_to(NEW.content, 'UTF8'));
    RETURN NEW;
END
$$;
CREATE TRIGGER fingerprint_documents
    BEFORE INSERT OR UPDATE OF content, content_sha256 ON documents
    FOR EACH ROW EXECUTE FUNCTION fingerprint_document();

CREATE FUNCTION expire_document_embedding() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.next_embedding = NULL;
    NEW.next_embedding_model = NULL;
    IF NEW.embedding IS DISTINCT FROM OLD.embedding THEN
        RETURN NEW; -- the change brings one
    END IF;
    -- A passage is embedded with its title before it. Without an embedder nobody would make another vector than the caller's.
    IF EXISTS (SELECT FROM embedding_state WHERE current_model_id IS NOT NULL) THEN
        NEW.embedding = NULL;
        NEW.embedding_model = NULL;
        NEW.embedding_status = 'pending';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION expire_document_embedding() IS 'Trigger: a document whose text changes waits for its embedding again, unless the change brings one.';
CREATE TRIGGER expire_document_embeddings
    BEFORE UPDATE OF title, content ON documents
    FOR EACH ROW
    -- Nothing must hang on the column embedding, which another takes the place of when the database moves to another model.
    WHEN ((OLD.title, OLD.content) IS DISTINCT FROM (NEW.title, NEW.content))
    EXECUTE FUNCTION expire_document_embedding();

-- updated_at tells readers that what they read has changed, so an embedding that arrives later leaves it alone.
CREATE TRIGGER update_documents_updated_at
    BEFORE UPDATE ON documents
    FOR EACH ROW
    WHEN ((OLD.title, OLD.content, OLD.source, OLD.metadata, OLD.language)
          IS DISTINCT FROM (NEW.title, NEW.content, NEW.source, NEW.metadata, NEW.language))
    EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE idempotency_keys (
    tenant_id      uuid NOT NULL REFERENCES tenants (id),
    key            text NOT NULL,
    request_sha256 bytea NOT NULL,
    response       jsonb,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'Answers of writes that carried an idempotency key, so that a repeated call gets the first answer.';
SELECT protect_tenant_table('idempotency_keys');
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO bailiwick_app;
GRANT SELECT ON idempotency_keys TO bailiwick_definer;

CREATE FUNCTION register_embedding_model(
    p_name text, p_dimensions integer DEFAULT NULL, p_provider text DEFAULT NULL, p_languages text[] DEFAULT NULL,
    p_prompt_style text DEFAULT NULL, p_longest_tokens integer DEFAULT NULL
) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_model embedding_models;
BEGIN
    SELECT * INTO v_model FROM embedding_models m WHERE m.name = p_name;
    IF NOT FOUND THEN
        INSERT INTO embedding_models (name, dimensions, provider, languages, prompt_style, longest_tokens)
        SELECT p_name, coalesce(p_dimensions, a.atttypmod), coalesce(p_provider, 'caller'), p_languages, coalesce(p_prompt_style, 'none'), p_longest_tokens
        FROM pg_attribute a
        WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding'
        ON CONFLICT (name) DO NOTHING;
        SELECT * INTO v_model FROM embedding_models m WHERE m.name = p_name;
    END IF;
    IF v_model.dimensions <> p_dimensions THEN
        RAISE EXCEPTION 'the model % is known with % dimensions and not with %', p_name, v_model.dimensions, p_dimensions
            USING ERRCODE = 'BW005', HINT = 'Set BAILIWICK_EMBEDDINGS_MODEL to another name.';
    END IF;
    -- What its server says of it now.
    IF p_provider IS NOT NULL AND (v_model.provider, v_model.languages, v_model.prompt_style, v_model.longest_tokens)
                                  IS DISTINCT FROM (p_provider, p_languages, coalesce(p_prompt_style, 'none'), p_longest_tokens) THEN
        UPDATE embedding_models
        SET provider = p_provider, languages = p_languages, prompt_style = coalesce(p_prompt_style, 'none'), longest_tokens = p_longest_tokens
        WHERE id = v_model.id;
    END IF;
    RETURN v_model.id;
END
$$;
COMMENT ON FUNCTION register_embedding_model(text, integer, text, text[], text, integer) IS
    'The id of an embedding model, registered if it is new, with the database''s dimensions unless others are given.';
GRANT EXECUTE ON FUNCTION register_embedding_model(text, integer, text, text[], text, integer) TO bailiwick_app;
ALTER FUNCTION register_embedding_model(text, integer, text, text[], text, integer) OWNER TO bailiwick_definer;

CREATE FUNCTION adopt_embedding_model(p_model_id smallint) RETURNS smallint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE embedding_state SET current_model_id = p_model_id
    WHERE current_model_id IS NULL AND next_model_id IS NULL
      AND (SELECT m.dimensions FROM embedding_models m WHERE m.id = p_model_id)
          = (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding');
    SELECT current_model_id FROM embedding_state;
$$;
COMMENT ON FUNCTION adopt_embedding_model(smallint) IS 'The model that documents are embedded with: this one, if there was none and its dimensions are the database''s.';
GRANT EXECUTE ON FUNCTION adopt_embedding_model(smallint) TO bailiwick_app;
ALTER FUNCTION adopt_embedding_model(smallint) OWNER TO bailiwick_definer;

CREATE FUNCTION allocate_chunk_numbers(p_tenant_id uuid, p_count integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_first integer;
BEGIN
    IF p_count < 0 THEN
        RAISE EXCEPTION 'chunk numbers are taken and not given back' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE tenant_usage SET next_chunk_no = next_chunk_no + p_count
    WHERE tenant_id = p_tenant_id
    RETURNING next_chunk_no - p_count INTO v_first;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such tenant in this transaction''s context'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Set app.current_tenant_id to the tenant that the documents belong to.';
    END IF;
    RETURN v_first;
END
$$;
COMMENT ON FUNCTION allocate_chunk_numbers(uuid, integer) IS 'Takes that many consecutive chunk numbers and returns the first.';

GRANT EXECUTE ON FUNCTION allocate_chunk_numbers(uuid, integer) TO bailiwick_app;
ALTER FUNCTION allocate_chunk_numbers(uuid, integer) OWNER TO bailiwick_definer;

-- Quotas.
CREATE FUNCTION count_new_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_new record;
    v_limit record;
BEGIN
    FOR v_new IN
        SELECT i.tenant_id, count(*) AS documents, sum(octet_length(i.title) + octet_length(i.content)) AS bytes
        FROM inserted i GROUP BY i.tenant_id ORDER BY i.tenant_id
    LOOP
        -- Checked and counted in one statement: whoever comes second waits for the row and then sees the new count.
        UPDATE tenant_usage u
        SET document_count = u.document_count + v_new.documents, storage_bytes = u.storage_bytes + v_new.bytes
        FROM tenants t
        WHERE u.tenant_id = v_new.tenant_id AND t.id = v_new.tenant_id
          AND (t.max_documents IS NULL OR u.document_count + v_new.documents <= t.max_documents)
          AND (t.max_storage_mb IS NULL OR u.storage_bytes + v_new.bytes <= t.max_storage_mb * 1048576::bigint);
        CONTINUE WHEN FOUND;

        SELECT t.max_documents, t.max_storage_mb, u.document_count, u.storage_bytes INTO v_limit
        FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id
        WHERE t.id = v_new.tenant_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no such tenant in this transaction''s context'
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Set app.current_tenant_id to the tenant that the documents belong to.';
        ELSIF v_limit.document_count + v_new.documents > v_limit.max_documents THEN
            RAISE EXCEPTION 'the tenant holds % documents and may hold %', v_limit.document_count, v_limit.max_documents
                USING ERRCODE = 'BW001', HINT = 'Delete documents, or ask the operator for a larger max_documents.';
        ELSE
            RAISE EXCEPTION 'the tenant''s documents take % bytes, this would add %, and % MiB are allowed',
                    v_limit.storage_bytes, v_new.bytes, v_limit.max_storage_mb
                USING ERRCODE = 'BW002', HINT = 'Delete documents, or ask the operator for a larger max_storage_mb.';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;


CREATE FUNCTION count_deleted_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE tenant_usage u
    SET document_count = u.document_count - gone.documents, storage_bytes = u.storage_bytes - gone.bytes
    FROM (
        SELECT d.tenant_id, count(*) AS documents, sum(octet_length(d.title) + octet_length(d.content)) AS bytes
        FROM deleted d GROUP BY d.tenant_id
    ) AS gone
    WHERE u.tenant_id = gone.tenant_id;
    RETURN NULL;
END
$$;

-- Statement triggers, for a bulk insert would otherwise update the tenant's one usage row a time per row.
CREATE TRIGGER documents_10_count_new AFTER INSERT ON documents
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION count_new_documents();
CREATE TRIGGER documents_40_count_deleted AFTER DELETE ON documents
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_documents();
ALTER FUNCTION count_new_documents() OWNER TO bailiwick_definer;
ALTER FUNCTION count_deleted_documents() OWNER TO bailiwick_definer;

-- For imports. By its owner, for what the owner before it had goes with the ownership.
SET LOCAL ROLE bailiwick_definer;
GRANT EXECUTE ON FUNCTION register_embedding_model(text, integer, text, text[], text, integer), allocate_chunk_numbers(uuid, integer) TO bailiwick_owner;
SET LOCAL ROLE bailiwick_owner;

-- ==== 000004_search.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- The inverted index: how text becomes terms, where postings live, and the triggers that keep them.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE fresh_postings (
    tenant_id uuid NOT NULL,
    chunk_no  integer NOT NULL,
    ordinal   integer NOT NULL,
    length    integer NOT NULL,
    terms     tsvector NOT NULL,
    PRIMARY KEY (tenant_id, chunk_no)
);
COMMENT ON TABLE fresh_postings IS
    'The terms of chunks that are not merged into posting blocks yet: one row a chunk, searchable in the transaction that wrote it.';
COMMENT ON COLUMN fresh_postings.length IS 'Number of terms of the chunk, title terms counted three times.';
COMMENT ON COLUMN fresh_postings.terms IS 'Each term with one position: not where it stands but how often.';

CREATE TABLE posting_blocks (
    tenant_id      uuid NOT NULL,
    first_lexeme   text COLLATE "C" NOT NULL,
    first_chunk_no integer NOT NULL,
    lexeme_count   integer NOT NULL,
    posting_count  integer NOT NULL,
    postings       bytea NOT NULL,
    PRIMARY KEY (tenant_id, first_lexeme, first_chunk_no),
    CONSTRAINT posting_blocks_not_empty CHECK (lexeme_count > 0 AND posting_count >= lexeme_count)
    -- Two blocks fill a page; they are never compressed again nor moved out of it.
) WITH (toast_tuple_target = 8160);
ALTER TABLE posting_blocks ALTER COLUMN postings SET STORAGE PLAIN;
COMMENT ON TABLE posting_blocks IS
    'Merged postings in the order of lexeme and chunk number, cut into blocks like the leaves of a B-tree: a common lexeme fills many blocks, rare ones share one. A block holds what lies from its own first key to the next block''s.';
COMMENT ON COLUMN posting_blocks.postings IS 'Format and checksum: src/search/postings/block.rs.';

CREATE TABLE chunk_segments (
    tenant_id  uuid NOT NULL,
    segment_no integer NOT NULL,
    lengths    integer[] NOT NULL,
    PRIMARY KEY (tenant_id, segment_no)
);
COMMENT ON TABLE chunk_segments IS
    'Lengths of the merged chunks from segment_no * 1024 on, so that a deletion can give back exactly what it takes from the mean.';

CREATE TABLE chunk_tombstones (
    tenant_id  uuid NOT NULL,
    chunk_no   integer NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, chunk_no)
);
COMMENT ON TABLE chunk_tombstones IS 'Deleted chunks whose postings still stand in blocks.';

CREATE TABLE index_state (
    tenant_id      uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    merged_through integer NOT NULL DEFAULT 0,
    purged_chunks  bigint NOT NULL DEFAULT 0,
    merged_at      timestamptz,
    purged_at      timestamptz
);
COMMENT ON TABLE index_state IS 'How far maintenance has come with a tenant''s index; written by maintenance alone.';
COMMENT ON COLUMN index_state.merged_through IS 'No chunk up to this number can be new: numbers are given out in the order of commits.';
COMMENT ON COLUMN index_state.purged_chunks IS 'Of tenant_usage.buried_chunks, those whose tombstones are gone.';

SELECT protect_tenant_table('fresh_postings'), protect_tenant_table('posting_blocks'), protect_tenant_table('chunk_segments'),
       protect_tenant_table('chunk_tombstones'), protect_tenant_table('index_state');
GRANT SELECT ON fresh_postings, posting_blocks, chunk_tombstones, index_state TO bailiwick_app;
GRANT SELECT, INSERT, DELETE ON fresh_postings TO bailiwick_definer;
GRANT SELECT, INSERT ON chunk_tombstones TO bailiwick_definer;
GRANT SELECT ON posting_blocks, chunk_segments, index_state TO bailiwick_definer;

CREATE FUNCTION estonian_configuration() RETURNS regconfig
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- It came with PostgreSQL 18.
    SELECT (CASE WHEN EXISTS (SELECT FROM pg_ts_config WHERE cfgname = 'estonian') THEN 'pg_catalog.estonian' ELSE 'pg_catalog.simple' END)::regconfig
$$;
COMMENT ON FUNCTION estonian_configuration() IS 'The text search configuration for Estonian, where there is one.';

-- The functions from here to chunk_entry() are written so that the planner can put their bodies in the place of their calls, which
-- is why they are not STRICT: called once a passage, each by itself cost more than what it computes.
CREATE FUNCTION text_search_configuration(p_language text) RETURNS regconfig
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Constants, so that no name is looked up where a text is read.
    SELECT CASE p_language
        WHEN 'ar' THEN 'pg_catalog.arabic'::regconfig     WHEN 'hy' THEN 'pg_catalog.armenian'::regconfig   WHEN 'eu' THEN 'pg_catalog.basque'::regconfig
        WHEN 'ca' THEN 'pg_catalog.catalan'::regconfig    WHEN 'da' THEN 'pg_catalog.danish'::regconfig     WHEN 'nl' THEN 'pg_catalog.dutch'::regconfig
        WHEN 'en' THEN 'pg_catalog.english'::regconfig    WHEN 'fi' THEN 'pg_catalog.finnish'::regconfig    WHEN 'fr' THEN 'pg_catalog.french'::regconfig
        WHEN 'de' THEN 'pg_catalog.german'::regconfig     WHEN 'el' THEN 'pg_catalog.greek'::regconfig      WHEN 'hi' THEN 'pg_catalog.hindi'::regconfig
        WHEN 'hu' THEN 'pg_catalog.hungarian'::regconfig  WHEN 'id' THEN 'pg_catalog.indonesian'::regconfig WHEN 'ga' THEN 'pg_catalog.irish'::regconfig
        WHEN 'it' THEN 'pg_catalog.italian'::regconfig    WHEN 'lt' THEN 'pg_catalog.lithuanian'::regconfig WHEN 'ne' THEN 'pg_catalog.nepali'::regconfig
        WHEN 'no' THEN 'pg_catalog.norwegian'::regconfig  WHEN 'pt' THEN 'pg_catalog.portuguese'::regconfig WHEN 'ro' THEN 'pg_catalog.romanian'::regconfig
        WHEN 'ru' THEN 'pg_catalog.russian'::regconfig    WHEN 'sr' THEN 'pg_catalog.serbian'::regconfig    WHEN 'es' THEN 'pg_catalog.spanish'::regconfig
        WHEN 'sv' THEN 'pg_catalog.swedish'::regconfig    WHEN 'ta' THEN 'pg_catalog.tamil'::regconfig      WHEN 'tr' THEN 'pg_catalog.turkish'::regconfig
        WHEN 'yi' THEN 'pg_catalog.yiddish'::regconfig
        WHEN 'et' THEN estonian_configuration()
        -- Latin words in Korean, Japanese and Chinese text are mostly English.
        WHEN 'ko' THEN 'pg_catalog.english'::regconfig    WHEN 'ja' THEN 'pg_catalog.english'::regconfig    WHEN 'zh' THEN 'pg_catalog.english'::regconfig
        ELSE 'pg_catalog.simple'::regconfig
    END
$$;
COMMENT ON FUNCTION text_search_configuration(text) IS 'The text search configuration (stemmer, stop words) for an ISO 639 language code.';

CREATE FUNCTION east_asian_runs() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Hangul, Kana and Han: characters that form words without spaces or with endings glued on.
    SELECT U&'[\1100-\11FF\3005-\3007\3040-\30FF\3130-\318F\31F0-\31FF\3400-\4DBF\4E00-\9FFF\A960-\A97F\AC00-\D7FF\F900-\FAFF\+020000-\+0323AF]+'
$$;
COMMENT ON FUNCTION east_asian_runs() IS 'A regular expression for runs of Hangul, Kana and Han.';

CREATE FUNCTION spaced_words(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- ASCII is in NFKC, and has nothing else to leave out.
    SELECT CASE WHEN octet_length(p_text) = length(p_text) THEN p_text
                ELSE regexp_replace(normalize(p_text, NFKC), east_asian_runs(), ' ', 'g') END
$$;
COMMENT ON FUNCTION spaced_words(text) IS 'The words of a text that have spaces between them, in NFKC: what is left without Hangul, Kana and Han.';

CREATE FUNCTION east_asian_pairs(p_text text) RETURNS TABLE (pair text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- An array, so that the planner expects a few, and a text of ASCII costs nothing.
    SELECT pairs.pair
    FROM unnest(CASE WHEN octet_length(p_text) > length(p_text) THEN ARRAY(
        SELECT substr(run.matches[1], start, 2)
        FROM regexp_matches(normalize(p_text, NFKC), '(' || east_asian_runs() || ')', 'g') AS run (matches),
             generate_series(1, greatest(length(run.matches[1]) - 1, 1)) AS start
    ) END) AS pairs (pair)
$$;
COMMENT ON FUNCTION east_asian_pairs(text) IS
    'Each pair of neighbouring characters of the runs of Hangul, Kana and Han in a text, as often as it occurs; a lone character by itself.';

CREATE FUNCTION text_terms(p_language text, p_text text) RETURNS TABLE (lexeme text, frequency integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT word.lexeme, cardinality(word.positions)
    FROM unnest(to_tsvector(text_search_configuration(p_language), spaced_words(p_text))) AS word
    UNION ALL
    SELECT run.pair, count(*)::integer FROM east_asian_pairs(p_text) AS run GROUP BY run.pair
$$;
COMMENT ON FUNCTION text_terms(text, text) IS
    'The terms of a text and how often each occurs: stemmed words without stop words, and for Hangul, Han and Kana each pair of neighbouring characters (a lone character is a term by itself).';

CREATE FUNCTION chunk_terms(p_language text, p_title text, p_passage text) RETURNS TABLE (lexeme text, frequency integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- As text_terms() has it, with one grouping for all.
    SELECT terms.lexeme, sum(terms.frequency)::integer
    FROM (
        SELECT word.lexeme, cardinality(word.positions) AS frequency
        FROM unnest(to_tsvector(text_search_configuration(p_language), spaced_words(p_passage))) AS word
        UNION ALL
        SELECT run.pair, 1 FROM east_asian_pairs(p_passage) AS run
        UNION ALL
        SELECT word.lexeme, 3 * cardinality(word.positions)
        FROM unnest(to_tsvector(text_search_configuration(p_language), spaced_words(p_title))) AS word
        UNION ALL
        SELECT run.pair, 3 FROM east_asian_pairs(p_title) AS run
    ) AS terms
    GROUP BY terms.lexeme
$$;
COMMENT ON FUNCTION chunk_terms(text, text, text) IS 'The terms that a chunk is indexed by: those of its passage, and its document''s title counted three times.';

CREATE FUNCTION nested_facets(p_source text, p_language text, p_metadata jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    WITH RECURSIVE node (path, value) AS (
        SELECT '', p_metadata
        UNION ALL
        SELECT node.path || child.step, child.value
        FROM node CROSS JOIN LATERAL (
            SELECT '.' || to_json(field.key)::text AS step, field.value
            FROM jsonb_each(CASE jsonb_typeof(node.value) WHEN 'object' THEN node.value ELSE '{}' END) AS field
            UNION ALL
            SELECT '[]', element.value
            FROM jsonb_array_elements(CASE jsonb_typeof(node.value) WHEN 'array' THEN node.value ELSE '[]' END) AS element
        ) AS child
    ), facets (facet) AS (
        SELECT 'source=' || p_source WHERE p_source IS NOT NULL
        UNION ALL
        SELECT 'language=' || p_language WHERE p_language IS NOT NULL
        UNION
        -- Equal numbers have one form: 1.0 is 1.
        SELECT 'metadata' || path || '=' || CASE jsonb_typeof(value) WHEN 'number' THEN trim_scale(value::text::numeric)::text ELSE value::text END
        FROM node WHERE jsonb_typeof(value) NOT IN ('object', 'array')
    )
    -- U+0001 tells them from words; a hash keeps long values short.
    SELECT CASE WHEN count(*) > 200 THEN ARRAY[chr(1) || '*']
                ELSE coalesce(array_agg(chr(1) || left(md5(facet), 16)), '{}') END
    FROM facets
$$;
COMMENT ON FUNCTION nested_facets(text, text, jsonb) IS 'What document_facets() gives, of metadata with objects and arrays in it.';

CREATE FUNCTION document_facets(p_source text, p_language text, p_metadata jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Most metadata have nothing nested, and a walk of one level costs a fifth.
    SELECT CASE
        WHEN jsonb_typeof(p_metadata) <> 'object' OR jsonb_path_exists(p_metadata, 'strict $.* ? (@.type() == "object" || @.type() == "array")')
        THEN nested_facets(p_source, p_language, p_metadata)
        ELSE (
            SELECT CASE WHEN count(*) > 200 THEN ARRAY[chr(1) || '*'] ELSE coalesce(array_agg(chr(1) || left(md5(facet), 16)), '{}') END
            FROM (
                SELECT 'source=' || p_source AS facet WHERE p_source IS NOT NULL
                UNION ALL
                SELECT 'language=' || p_language WHERE p_language IS NOT NULL
                UNION ALL
                SELECT 'metadata.' || to_json(field.key)::text || '='
                       || CASE jsonb_typeof(field.value) WHEN 'number' THEN trim_scale(field.value::text::numeric)::text ELSE field.value::text END
                FROM jsonb_each(p_metadata) AS field
            ) AS facets
        )
    END
$$;
COMMENT ON FUNCTION document_facets(text, text, jsonb) IS
    'What a document can be filtered by, as terms of the index: source, language and each scalar of its metadata under its path. A filter passes no document that lacks one of the filter''s own facets. A document with more than 200 has the one term U+0001 * instead, and must be looked at.';

CREATE FUNCTION chunk_entry(p_language text, p_title text, p_passage text, p_facets text[]) RETURNS TABLE (length integer, terms tsvector)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Written out as text: inside its quotes a quote is doubled and a backslash escaped.
    SELECT coalesce(sum(t.frequency), 0)::integer,
           (coalesce(string_agg('''' || replace(replace(t.lexeme, '\', '\\'), '''', '''''') || ''':' || least(t.frequency, 16383), ' '), '')
            || coalesce((SELECT string_agg(' ''' || facet || ''':1', '') FROM unnest(p_facets) AS facet), ''))::tsvector
    -- OFFSET 0, so that what is given is computed once, wherever it stands above.
    FROM (SELECT p_language AS language, p_title AS title, p_passage AS passage OFFSET 0) AS given
    CROSS JOIN LATERAL chunk_terms(given.language, given.title, given.passage) AS t
$$;
COMMENT ON FUNCTION chunk_entry(text, text, text, text[]) IS
    'What fresh_postings keeps of a chunk: its length, and its terms with their frequencies in the place of positions. Facets are terms that count for no length.';

CREATE FUNCTION query_terms(p_tenant_id uuid, p_query text) RETURNS TABLE (lexeme text, frequency integer)
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$
    SELECT terms.lexeme, max(terms.frequency)
    FROM tenant_languages AS spoken
    CROSS JOIN LATERAL text_terms(spoken.language, p_query) AS terms
    WHERE spoken.tenant_id = p_tenant_id
    GROUP BY terms.lexeme
$$;
COMMENT ON FUNCTION query_terms(uuid, text) IS 'The terms of a query, analysed in every language that the tenant''s documents are in.';
GRANT EXECUTE ON FUNCTION estonian_configuration(), text_search_configuration(text), east_asian_runs(), spaced_words(text), east_asian_pairs(text), text_terms(text, text), query_terms(uuid, text), chunk_terms(text, text, text), nested_facets(text, text, jsonb), document_facets(text, text, jsonb), chunk_entry(text, text, text, text[]) TO bailiwick_app;
GRANT EXECUTE ON FUNCTION estonian_configuration(), text_search_configuration(text), east_asian_runs(), spaced_words(text), east_asian_pairs(text), text_terms(text, text), chunk_terms(text, text, text), nested_facets(text, text, jsonb), document_facets(text, text, jsonb), chunk_entry(text, text, text, text[]) TO bailiwick_definer;

CREATE FUNCTION cut_default_chunks(p_tenant_id uuid, p_document_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH windows AS MATERIALIZED (
        SELECT d.id, d.language, d.embedding, d.embedding_model, w.ordinal,
               w.ordinal * d.chars AS char_start, least((w.ordinal + 1) * d.chars, d.length) AS char_end,
               row_number() OVER (ORDER BY d.created_at, d.id, w.ordinal) AS place
        FROM (
            SELECT d.id, d.language, d.embedding, d.embedding_model, d.created_at, length(d.content) AS length,
                   -- What the model reads behind a title, estimated low; in languages that it does not know words count alone.
                   CASE WHEN m.longest_tokens IS NULL THEN 2000
                        ELSE least(2000, greatest(100, (m.longest_tokens - m.longest_tokens / 8 - 4)
                                                       * CASE WHEN d.language IN ('ko', 'ja', 'zh') THEN 1 ELSE 3 END)) END AS chars
            FROM documents d
            LEFT JOIN embedding_state s ON true
            LEFT JOIN embedding_models m ON m.id = s.current_model_id AND (m.languages IS NULL OR d.language = ANY (m.languages))
            WHERE d.tenant_id = p_tenant_id AND d.id = ANY (p_document_ids)
            OFFSET 0 -- so that a long text is measured once, and not once a window
        ) AS d
        CROSS JOIN LATERAL generate_series(0, (d.length - 1) / d.chars) AS w (ordinal)
    ), numbers AS MATERIALIZED (
        SELECT allocate_chunk_numbers(p_tenant_id, (SELECT count(*) FROM windows)::integer) AS first
        WHERE EXISTS (SELECT FROM windows)
    )
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT p_tenant_id, numbers.first + (place - 1)::integer, id, ordinal, char_start, char_end, (char_end - char_start + 3) / 4,
           CASE WHEN ordinal = 0 THEN l2_normalize(embedding)::halfvec END,
           CASE WHEN ordinal = 0 AND embedding IS NOT NULL THEN register_embedding_model(coalesce(embedding_model, 'caller')) END
    FROM windows CROSS JOIN numbers
    ORDER BY place
$$;
COMMENT ON FUNCTION cut_default_chunks(uuid, uuid[]) IS
    'Chunks for documents that came without any (a row inserted by psql): windows of 2,000 characters, fewer where the embedding model reads fewer. The server cuts at sentences and headings instead.';

CREATE FUNCTION complete_new_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM cut_default_chunks(bare.tenant_id, bare.ids)
    FROM (
        SELECT i.tenant_id, array_agg(i.id) AS ids
        FROM inserted i
        WHERE NOT EXISTS (SELECT FROM document_chunks c WHERE c.tenant_id = i.tenant_id AND c.document_id = i.id)
        GROUP BY i.tenant_id
    ) AS bare;
    -- Embedders are woken by the first document that waits, and go on until none does. To notify at each one would let
    -- commits queue for the one lock on notifications.
    IF EXISTS (SELECT FROM embedding_state WHERE current_model_id IS NOT NULL) THEN
        PERFORM FROM (SELECT DISTINCT i.tenant_id FROM inserted i WHERE i.embedding_status = 'pending') AS waits
        WHERE NOT EXISTS (SELECT FROM documents d WHERE d.tenant_id = waits.tenant_id AND d.embedding_status = 'pending'
                            AND d.id NOT IN (SELECT n.id FROM inserted n));
        IF FOUND THEN
            NOTIFY bailiwick_embedding;
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION follow_changed_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_changed record;
BEGIN
    FOR v_changed IN
        SELECT n.tenant_id,
               sum(octet_length(n.title) + octet_length(n.content) - octet_length(o.title) - octet_length(o.content)) AS bytes,
               -- Unless the writer says that it brings this document's new chunks itself (documents/rewrite).
               array_agg(n.id) FILTER (WHERE n.content IS DISTINCT FROM o.content
                                             AND n.id::text IS DISTINCT FROM current_setting('bailiwick.cut_document', true)) AS recut,
               array_agg(n.id) FILTER (WHERE n.content = o.content AND (n.title, n.source, n.language, n.metadata)
                                             IS DISTINCT FROM (o.title, o.source, o.language, o.metadata)) AS reindexed,
               array_agg(n.id) FILTER (WHERE n.embedding IS DISTINCT FROM o.embedding) AS embedded
        FROM changed_to n JOIN changed_from o ON o.tenant_id = n.tenant_id AND o.id = n.id
        GROUP BY n.tenant_id
    LOOP
        UPDATE tenant_usage u SET storage_bytes = u.storage_bytes + v_changed.bytes
        FROM tenants t
        WHERE u.tenant_id = v_changed.tenant_id AND t.id = v_changed.tenant_id AND v_changed.bytes <> 0
          AND (v_changed.bytes < 0 OR t.max_storage_mb IS NULL
               OR u.storage_bytes + v_changed.bytes <= t.max_storage_mb * 1048576::bigint);
        IF NOT FOUND AND v_changed.bytes <> 0 THEN
            RAISE EXCEPTION 'the change would add % bytes, more than the tenant may store', v_changed.bytes
                USING ERRCODE = 'BW002', HINT = 'Delete documents, or ask the operator for a larger max_storage_mb.';
        END IF;

        DELETE FROM document_chunks c
        WHERE c.tenant_id = v_changed.tenant_id AND c.document_id = ANY (v_changed.recut);
        PERFORM cut_default_chunks(v_changed.tenant_id, v_changed.recut) WHERE v_changed.recut IS NOT NULL;

        -- The same chunks with their vectors under new numbers, for postings of a number never change.
        WITH moved AS (
            DELETE FROM document_chunks c
            WHERE c.tenant_id = v_changed.tenant_id AND c.document_id = ANY (v_changed.reindexed)
            RETURNING c.*
        ), numbers AS MATERIALIZED (
            SELECT allocate_chunk_numbers(v_changed.tenant_id, (SELECT count(*) FROM moved)::integer) AS first
            WHERE EXISTS (SELECT FROM moved)
        )
        INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id, next_embedding, next_embedding_model_id)
        SELECT m.tenant_id, numbers.first + (row_number() OVER (ORDER BY m.chunk_no) - 1)::integer, m.document_id, m.ordinal,
               m.char_start, m.char_end, m.token_count,
               -- A title that changed was part of what was embedded.
               CASE WHEN n.title = o.title OR n.embedding_status <> 'pending' THEN m.embedding END,
               CASE WHEN n.title = o.title OR n.embedding_status <> 'pending' THEN m.embedding_model_id END,
               CASE WHEN n.title = o.title THEN m.next_embedding END, CASE WHEN n.title = o.title THEN m.next_embedding_model_id END
        FROM moved m
        JOIN changed_to n ON n.tenant_id = m.tenant_id AND n.id = m.document_id
        JOIN changed_from o ON o.tenant_id = m.tenant_id AND o.id = m.document_id
        CROSS JOIN numbers
        ORDER BY m.chunk_no;

        -- A vector for the whole document also stands for its only chunk; where a document has several, theirs are the embedder's.
        UPDATE document_chunks c
        SET embedding = l2_normalize(d.embedding)::halfvec,
            embedding_model_id = CASE WHEN d.embedding IS NOT NULL
                                      THEN register_embedding_model(coalesce(d.embedding_model, 'caller')) END
        FROM documents d
        WHERE c.tenant_id = v_changed.tenant_id AND c.document_id = ANY (v_changed.embedded) AND c.ordinal = 0
          AND d.tenant_id = v_changed.tenant_id AND d.id = c.document_id
          -- The embedder has just written the same one there.
          AND (d.embedding IS NULL OR c.embedding IS NULL
               OR c.embedding_model_id IS DISTINCT FROM (SELECT m.id FROM embedding_models m WHERE m.name = coalesce(d.embedding_model, 'caller'))
               OR c.embedding <=> l2_normalize(d.embedding)::halfvec > 1e-4)
          AND NOT EXISTS (SELECT FROM document_chunks o
                          WHERE o.tenant_id = v_changed.tenant_id AND o.document_id = c.document_id AND o.ordinal > 0);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION index_ahead(p_tenant_id uuid, p_ordinals integer[], p_lengths integer[], p_terms tsvector[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- It takes the numbers itself, for what stands under a number is believed later to be of its chunk: nothing can be written
    -- under one that was given out before.
    v_first integer := allocate_chunk_numbers(p_tenant_id, cardinality(p_terms));
BEGIN
    INSERT INTO fresh_postings (tenant_id, chunk_no, ordinal, length, terms)
    SELECT p_tenant_id, v_first + (e.place - 1)::integer, e.ordinal, e.length, e.terms
    FROM unnest(p_ordinals, p_lengths, p_terms) WITH ORDINALITY AS e (ordinal, length, terms, place);
    RETURN v_first;
END
$$;
COMMENT ON FUNCTION index_ahead(uuid, integer[], integer[], tsvector[]) IS
    'Takes consecutive chunk numbers, writes under them what chunk_entry() gave for the chunks that the same statement stores, and returns the first. Their trigger leaves the postings as they are.';
GRANT EXECUTE ON FUNCTION index_ahead(uuid, integer[], integer[], tsvector[]) TO bailiwick_app;

CREATE FUNCTION index_new_chunks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted i JOIN index_state s ON s.tenant_id = i.tenant_id WHERE i.chunk_no <= s.merged_through) THEN
        RAISE EXCEPTION 'a chunk has a number that was given out before'
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Take chunk numbers from allocate_chunk_numbers() in the transaction that stores the chunks.';
    END IF;
    -- Cutting a passage out of UTF-8 text walks it from its start: 4 ms for the last of a million characters. So a long
    -- document is first cut into blocks, and each passage out of its block.
    WITH ahead AS MATERIALIZED (
        SELECT f.tenant_id, f.chunk_no, f.length FROM inserted i JOIN fresh_postings f ON f.tenant_id = i.tenant_id AND f.chunk_no = i.chunk_no
    ), bare AS MATERIALIZED (
        SELECT i.* FROM inserted i WHERE NOT EXISTS (SELECT FROM ahead WHERE ahead.tenant_id = i.tenant_id AND ahead.chunk_no = i.chunk_no)
    ), touched AS (
        SELECT i.tenant_id, i.document_id, max(i.char_end) AS length, max(i.char_end - i.char_start) AS longest
        FROM bare i GROUP BY i.tenant_id, i.document_id
    ), blocks AS MATERIALIZED (
        SELECT t.tenant_id, t.document_id, d.language, d.title, document_facets(d.source, d.language, d.metadata) AS facets,
               b.no, substr(d.content, b.no * 16384 + 1, 16384 + t.longest) AS body
        FROM touched t
        JOIN documents d ON d.tenant_id = t.tenant_id AND d.id = t.document_id
        CROSS JOIN LATERAL generate_series(0, t.length / 16384) AS b (no)
    ), indexed AS (
        INSERT INTO fresh_postings (tenant_id, chunk_no, ordinal, length, terms)
        SELECT i.tenant_id, i.chunk_no, i.ordinal, entry.length, entry.terms
        FROM bare i
        JOIN blocks b ON b.tenant_id = i.tenant_id AND b.document_id = i.document_id AND b.no = i.char_start / 16384
        CROSS JOIN LATERAL chunk_entry(b.language, b.title, substr(b.body, i.char_start - b.no * 16384 + 1, i.char_end - i.char_start), b.facets) AS entry
        RETURNING tenant_id, length
    )
    UPDATE tenant_usage u
    SET chunk_count = u.chunk_count + added.chunks, total_length = u.total_length + added.length
    FROM (
        SELECT x.tenant_id, count(*) AS chunks, sum(x.length) AS length
        FROM (SELECT tenant_id, length FROM indexed UNION ALL SELECT tenant_id, length FROM ahead) AS x
        GROUP BY x.tenant_id
    ) AS added
    WHERE u.tenant_id = added.tenant_id;

    INSERT INTO tenant_languages (tenant_id, language)
    SELECT DISTINCT d.tenant_id, d.language
    FROM inserted i JOIN documents d ON d.tenant_id = i.tenant_id AND d.id = i.document_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE FUNCTION forget_deleted_chunks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant record;
    v_fresh_length bigint;
    v_fresh integer[];
    v_merged integer[];
    v_merged_length bigint;
BEGIN
    FOR v_tenant IN
        SELECT d.tenant_id, array_agg(d.chunk_no) AS chunk_nos FROM deleted d GROUP BY d.tenant_id ORDER BY d.tenant_id
    LOOP
        -- First the row that every writer takes: a rebuild holds it, and what is deleted meanwhile must see what it made.
        PERFORM FROM tenant_usage u WHERE u.tenant_id = v_tenant.tenant_id FOR UPDATE;
        WITH gone AS (
            DELETE FROM fresh_postings f
            WHERE f.tenant_id = v_tenant.tenant_id AND f.chunk_no = ANY (v_tenant.chunk_nos)
            RETURNING f.chunk_no, f.length
        )
        SELECT coalesce(array_agg(gone.chunk_no), '{}'), coalesce(sum(gone.length), 0) INTO v_fresh, v_fresh_length FROM gone;

        -- In a statement of its own, so with a snapshot of its own: what was not fresh may have been merged a moment ago,
        -- while the deletion above waited for the merge.
        WITH merged AS (
            SELECT c.chunk_no, s.lengths[c.chunk_no % 1024 + 1] AS length
            FROM unnest(v_tenant.chunk_nos) AS c (chunk_no)
            LEFT JOIN chunk_segments s ON s.tenant_id = v_tenant.tenant_id AND s.segment_no = c.chunk_no / 1024
            WHERE c.chunk_no NOT IN (SELECT unnest(v_fresh))
        )
        SELECT coalesce(array_agg(merged.chunk_no), '{}'), coalesce(sum(merged.length), 0) INTO v_merged, v_merged_length FROM merged;
        INSERT INTO chunk_tombstones (tenant_id, chunk_no) SELECT v_tenant.tenant_id, unnest(v_merged);

        UPDATE tenant_usage u
        SET chunk_count = u.chunk_count - cardinality(v_tenant.chunk_nos),
            total_length = u.total_length - v_fresh_length - v_merged_length,
            buried_chunks = u.buried_chunks + cardinality(v_merged)
        WHERE u.tenant_id = v_tenant.tenant_id;
    END LOOP;
    RETURN NULL;
END
$$;

-- They fire in the order of their names: counted (000003) before chunks are cut, so that a full tenant is refused first.
CREATE TRIGGER documents_20_complete_new AFTER INSERT ON documents
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION complete_new_documents();
CREATE TRIGGER documents_30_follow_changed AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS changed_from NEW TABLE AS changed_to FOR EACH STATEMENT EXECUTE FUNCTION follow_changed_documents();
CREATE TRIGGER document_chunks_10_index_new AFTER INSERT ON document_chunks
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION index_new_chunks();
CREATE TRIGGER document_chunks_20_forget_deleted AFTER DELETE ON document_chunks
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forget_deleted_chunks();

-- From one embedding model to the next. Both run as the schema's owner, for they change tables; the server's role may not.
CREATE FUNCTION prepare_next_embeddings(p_model_id smallint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    v_dimensions integer := (SELECT dimensions FROM embedding_models WHERE id = p_model_id);
BEGIN
    IF (SELECT next_model_id FROM embedding_state) = p_model_id THEN
        RETURN; -- begun before: it goes on
    END IF;
    UPDATE embedding_state SET next_model_id = p_model_id;
    EXECUTE format('ALTER TABLE documents DROP COLUMN next_embedding, ADD COLUMN next_embedding vector(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE document_chunks DROP COLUMN next_embedding, ADD COLUMN next_embedding halfvec(%s)', v_dimensions);
    -- Beside the other one there may be no room for it in a page.
    ALTER TABLE document_chunks ALTER COLUMN next_embedding SET STORAGE MAIN;
    COMMENT ON COLUMN documents.next_embedding IS 'While the database moves to another model: the document by that model.';
    COMMENT ON COLUMN document_chunks.next_embedding IS 'While the database moves to another model: the passage by that model, beside the vector that is searched.';
END
$$;
COMMENT ON FUNCTION prepare_next_embeddings(smallint) IS 'Makes room for the vectors of another model beside those that are searched.';

CREATE FUNCTION switch_embedding_model() RETURNS smallint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    v_next embedding_models;
    v_index record;
BEGIN
    -- Searches take the two in one order and inserts in the other. Whoever is in the way ends soon, or this gives up before
    -- anybody is called a deadlock, and is tried again.
    LOCK TABLE documents, document_chunks IN ACCESS EXCLUSIVE MODE;
    SELECT m.* INTO v_next FROM embedding_state s JOIN embedding_models m ON m.id = s.next_model_id FOR UPDATE OF s;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the database is not moving to another embedding model' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- All of it changes the catalog alone, so that it takes milliseconds. The old vectors' indexes go with their column.
    ALTER TABLE documents DROP COLUMN embedding;
    ALTER TABLE documents RENAME COLUMN next_embedding TO embedding;
    ALTER TABLE documents RENAME COLUMN embedding_model TO spare;
    ALTER TABLE documents RENAME COLUMN next_embedding_model TO embedding_model;
    ALTER TABLE documents RENAME COLUMN spare TO next_embedding_model;
    EXECUTE format('ALTER TABLE documents ADD COLUMN next_embedding vector(%s)', v_next.dimensions);
    ALTER TABLE document_chunks DROP COLUMN embedding;
    ALTER TABLE document_chunks RENAME COLUMN next_embedding TO embedding;
    ALTER TABLE document_chunks RENAME COLUMN embedding_model_id TO spare;
    ALTER TABLE document_chunks RENAME COLUMN next_embedding_model_id TO embedding_model_id;
    ALTER TABLE document_chunks RENAME COLUMN spare TO next_embedding_model_id;
    EXECUTE format('ALTER TABLE document_chunks ADD COLUMN next_embedding halfvec(%s)', v_next.dimensions);
    ALTER TABLE document_chunks ALTER COLUMN embedding SET STORAGE PLAIN;
    ALTER TABLE document_chunks ALTER COLUMN next_embedding SET STORAGE MAIN;
    FOR v_index IN SELECT c.relname FROM pg_class c
                   WHERE c.relkind = 'i' AND c.relname LIKE 'hnsw\_next\_%' AND c.relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', v_index.relname, replace(v_index.relname, 'hnsw_next_', 'hnsw_'));
    END LOOP;
    COMMENT ON COLUMN documents.embedding IS
        'The document as a whole: the caller''s own vector, or the normalised mean of its chunks'' vectors. NULL until it is embedded.';
    COMMENT ON COLUMN documents.embedding_model IS 'Name of the model of embedding, as in embedding_models.';
    COMMENT ON COLUMN documents.next_embedding IS 'While the database moves to another model: the document by that model.';
    COMMENT ON COLUMN document_chunks.embedding IS
        'Unit vector of the passage. A vector that a caller gave for a whole document stands at its first chunk.';
    COMMENT ON COLUMN document_chunks.next_embedding IS 'While the database moves to another model: the passage by that model, beside the vector that is searched.';
    UPDATE embedding_state SET current_model_id = v_next.id, next_model_id = NULL;
    -- Servers of either model are to know at once.
    NOTIFY bailiwick_embedding;
    RETURN v_next.id;
END
$$;
COMMENT ON FUNCTION switch_embedding_model() IS 'Puts the next model''s vectors in the place of those that were searched, which are dropped: for every search at once.';

-- Last, for whoever makes a trigger must be allowed to execute its function.
DO $own$
DECLARE
    v_function text;
BEGIN
    FOREACH v_function IN ARRAY ARRAY[
        'cut_default_chunks(uuid, uuid[])', 'complete_new_documents()', 'follow_changed_documents()',
        'index_new_chunks()', 'index_ahead(uuid, integer[], integer[], tsvector[])', 'forget_deleted_chunks()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO bailiwick_definer', v_function);
    END LOOP;
END
$own$;

-- ==== 000005_audit.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- The audit trail: one row for each call, partitioned by month.
SET LOCAL ROLE bailiwick_owner;

-- A sequence of its own: PostgreSQL 16 knows no identity columns on partitioned tables.
CREATE SEQUENCE audit_logs_id_seq;

CREATE TABLE audit_logs (
    id            bigint NOT NULL DEFAULT nextval('audit_logs_id_seq'),
    "timestamp"   timestamptz NOT NULL DEFAULT now(),
    completed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    tenant_id     uuid NOT NULL,
    user_id       text NOT NULL,
    call_id       uuid NOT NULL,
    action        text NOT NULL,
    resource      text,
    resource_id   uuid,
    details       jsonb NOT NULL DEFAULT '{}',
    outcome       text NOT NULL,
    success       boolean NOT NULL,
    error_message text,
    ip_address    inet,
    user_agent    text,
    duration_ms   integer,
    -- The fence: whoever closes a call, and however often it is tried, a second row cannot be.
    PRIMARY KEY (tenant_id, "timestamp", call_id),
    CONSTRAINT audit_logs_outcome_known
        CHECK (outcome IN ('ok', 'error', 'denied', 'cancelled', 'timeout', 'panic', 'interrupted')),
    CONSTRAINT audit_logs_success_is_ok CHECK (success = (outcome = 'ok'))
) PARTITION BY RANGE ("timestamp");
COMMENT ON TABLE audit_logs IS 'Exactly one row for each call, however it ended. No text of documents or queries: lengths, counts and ids.';
COMMENT ON COLUMN audit_logs.id IS 'In the order of completion: seals and pages go by it.';
COMMENT ON COLUMN audit_logs."timestamp" IS 'When the call reached the server, by the server''s clock: settled once, so that with call_id it names the call wherever it is closed.';
COMMENT ON COLUMN audit_logs.completed_at IS 'When the call was closed, by the database''s clock.';
COMMENT ON COLUMN audit_logs.action IS 'search, insert, update, delete, read, report, record, embed, alert or unknown.';
COMMENT ON COLUMN audit_logs.resource IS 'What was called: tools/hybrid_search.';
COMMENT ON COLUMN audit_logs.error_message IS 'Stable code of the failure, for example invalid_input; NULL when the call succeeded.';

CREATE INDEX idx_audit_logs_tenant_completed ON audit_logs (tenant_id, completed_at DESC, id DESC);
CREATE INDEX idx_audit_logs_user_timestamp ON audit_logs (tenant_id, user_id, "timestamp" DESC);
-- For the seals, which go over all tenants.
CREATE INDEX idx_audit_logs_id ON audit_logs (id);

SELECT protect_tenant_table('audit_logs');
-- The application reads its tenant's trail; rows are written by functions alone.
GRANT SELECT ON audit_logs TO bailiwick_app;
GRANT SELECT, INSERT ON audit_logs TO bailiwick_definer;
GRANT USAGE ON SEQUENCE audit_logs_id_seq TO bailiwick_definer;

CREATE FUNCTION create_month_partition(p_parent regclass, p_month date) RETURNS boolean
-- A lock that is waited for keeps every call behind it waiting. Months are made ahead, so whoever is in the way may end first.
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    v_table text := (SELECT relname FROM pg_class WHERE oid = p_parent);
    v_name text := format('%s_%s', v_table, to_char(p_month, 'YYYY_MM'));
    v_default regclass := to_regclass(format('public.%I', v_table || '_default'));
    -- Months are UTC, whatever the session's time zone.
    v_from timestamptz := date_trunc('month', p_month::timestamp) AT TIME ZONE 'UTC';
    v_to   timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    v_columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                       WHERE attrelid = p_parent AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
    v_has_strays boolean := false;
    v_role text := coalesce(current_setting('app.current_user_role', true), '');
BEGIN
    IF to_regclass(format('public.%I', v_name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Made apart and attached then: to make it as a partition would lock its parent against every call.
    EXECUTE format('CREATE TABLE public.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING INDEXES INCLUDING STORAGE)',
                   v_name, p_parent);
    -- Queried by its own name a partition would skip its parent's policies: forced security with no policy shows nothing.
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', v_name);
    IF v_default IS NOT NULL THEN
        -- Rows that came while the month was missing stand in its way; the administrator's policy shows them.
        PERFORM set_config('app.current_user_role', 'admin', true);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE "timestamp" >= %L AND "timestamp" < %L)', v_default, v_from, v_to)
            INTO v_has_strays;
    END IF;
    IF v_has_strays THEN
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', p_parent, v_default);
        -- Into the partition itself: what their insertion triggered has happened.
        EXECUTE format('INSERT INTO public.%I (%s) SELECT %s FROM %s WHERE "timestamp" >= %L AND "timestamp" < %L',
                       v_name, v_columns, v_columns, v_default, v_from, v_to);
        EXECUTE format('DELETE FROM %s WHERE "timestamp" >= %L AND "timestamp" < %L', v_default, v_from, v_to);
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', p_parent, v_name, v_from, v_to);
    IF v_has_strays THEN
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', p_parent, v_default);
    END IF;
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', v_name);
    PERFORM set_config('app.current_user_role', v_role, true);
    RETURN true;
END
$$;
COMMENT ON FUNCTION create_month_partition(regclass, date) IS
    'Makes a month''s partition of a table partitioned by timestamp, with the rows of that month that had landed in the DEFAULT partition; false if it is there.';

CREATE FUNCTION maintain_partitions(p_months_ahead integer DEFAULT 3, p_today date DEFAULT (now() AT TIME ZONE 'UTC')::date) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_parent regclass;
    v_created integer := 0;
    v_strays date[];
    v_month date;
    v_role text := coalesce(current_setting('app.current_user_role', true), '');
BEGIN
    -- Another who is at it makes the same ones.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('bailiwick.maintain_partitions', 0)) THEN
        RETURN 0;
    END IF;
    FOR v_parent IN
        SELECT p.partrelid::regclass FROM pg_partitioned_table p
        WHERE p.partstrat = 'r' AND p.partrelid::regclass::text IN ('audit_logs', 'cost_tracking')
        ORDER BY 1
    LOOP
        -- Of months that have rows in the DEFAULT partition, the oldest; the rest are for the next time. Months ahead are those of a clock
        -- that was wrong; rows from beyond ten years stay and are told of.
        PERFORM set_config('app.current_user_role', 'admin', true);
        EXECUTE format('SELECT ARRAY(SELECT DISTINCT date_trunc(''month'', "timestamp" AT TIME ZONE ''UTC'')::date FROM %s
                                     WHERE "timestamp" < %L ORDER BY 1 LIMIT 12)',
                       to_regclass(format('public.%I', v_parent::text || '_default')),
                       (date_trunc('month', p_today)::timestamp + interval '10 years') AT TIME ZONE 'UTC')
            INTO v_strays;
        PERFORM set_config('app.current_user_role', v_role, true);
        FOREACH v_month IN ARRAY v_strays || ARRAY(SELECT (date_trunc('month', p_today) + make_interval(months => m))::date
                                                   FROM generate_series(0, p_months_ahead) AS m) LOOP
            IF create_month_partition(v_parent, v_month) THEN
                v_created := v_created + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN v_created;
END
$$;
COMMENT ON FUNCTION maintain_partitions(integer, date) IS
    'Makes the partitions of this month and the months ahead for audit_logs and cost_tracking, and of some others whose rows are in the DEFAULT partition, from no more than ten years ahead; returns how many were new.';

CREATE FUNCTION month_partitions(p_parent regclass, p_before date) RETURNS TABLE (partition regclass, month date)
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT c.oid::regclass, to_date(right(c.relname, 7), 'YYYY_MM')
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = p_parent AND c.relname ~ '_\d{4}_\d{2}$'
      AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= p_before
    ORDER BY c.relname
$$;
COMMENT ON FUNCTION month_partitions(regclass, date) IS 'The month partitions that end by that date, the oldest first.';

CREATE FUNCTION hold_month_partitions(p_parent regclass, p_before date) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_partition regclass;
    v_held integer := 0;
BEGIN
    FOR v_partition IN SELECT m.partition FROM month_partitions(p_parent, p_before) AS m LOOP
        -- Whoever reads goes on reading; nobody adds to a month that is over, but for a row that was late.
        EXECUTE format('LOCK TABLE %s IN EXCLUSIVE MODE', v_partition);
        v_held := v_held + 1;
    END LOOP;
    RETURN v_held;
END
$$;
COMMENT ON FUNCTION hold_month_partitions(regclass, date) IS
    'Retention: lets nobody write to the month partitions that end by that date until the transaction ends, and returns how many they are.';

CREATE FUNCTION drop_month_partitions(p_parent regclass, p_before date) RETURNS text[]
-- To take a partition off, its parent is locked against every call: for milliseconds, once that lock is had, so it is waited for
-- no longer than calls may be kept behind it. (PostgreSQL refuses DETACH CONCURRENTLY beside a DEFAULT partition.)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    v_partition record;
    v_dropped text[] := '{}';
BEGIN
    FOR v_partition IN
        SELECT m.partition AS name, c.relname FROM month_partitions(p_parent, p_before) AS m JOIN pg_class c ON c.oid = m.partition
    LOOP
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', p_parent, v_partition.name);
        EXECUTE format('DROP TABLE %s', v_partition.name);
        v_dropped := v_dropped || v_partition.relname::text;
    END LOOP;
    RETURN v_dropped;
END
$$;
COMMENT ON FUNCTION drop_month_partitions(regclass, date) IS
    'Retention: drops the month partitions that end by that date and returns their names; fails within moments if it cannot have the lock.';

-- Rows of a month without a partition land here rather than fail; one row here blocks adding its month, so it is kept empty.
CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;
ALTER TABLE audit_logs_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_logs_default FORCE ROW LEVEL SECURITY;
-- So that rows here are seen by those who look for them, and can be moved into their month.
CREATE POLICY admin_full_access_policy ON audit_logs_default FOR ALL TO bailiwick_owner
    USING (current_setting('app.current_user_role', true) = 'admin') WITH CHECK (current_setting('app.current_user_role', true) = 'admin');

SELECT maintain_partitions();

-- ==== 000006_costs.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- What tokens cost, what each tenant spent, and what is left of its month.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE model_prices (
    provider               text NOT NULL,
    model_name             text NOT NULL,
    effective_from         timestamptz NOT NULL,
    input_usd_per_million  numeric(24, 12) NOT NULL,
    output_usd_per_million numeric(24, 12) NOT NULL,
    cached_input_usd_per_million numeric(24, 12),
    source                 text NOT NULL,
    noted_on               date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    PRIMARY KEY (provider, model_name, effective_from),
    CONSTRAINT model_prices_plausible CHECK (
        input_usd_per_million BETWEEN 0 AND 10000 AND output_usd_per_million BETWEEN 0 AND 10000
        AND cached_input_usd_per_million BETWEEN 0 AND 10000),
    -- Whatever number of tokens then costs a number of USD that twelve decimals hold, so nothing is ever rounded.
    CONSTRAINT model_prices_exact CHECK (
        scale(trim_scale(input_usd_per_million)) <= 6 AND scale(trim_scale(output_usd_per_million)) <= 6
        AND coalesce(scale(trim_scale(cached_input_usd_per_million)), 0) <= 6),
    CONSTRAINT model_prices_cached_is_no_dearer CHECK (cached_input_usd_per_million <= input_usd_per_million),
    CONSTRAINT model_prices_named CHECK (
        length(trim(provider)) BETWEEN 1 AND 100 AND length(trim(model_name)) BETWEEN 1 AND 200 AND length(trim(source)) BETWEEN 1 AND 500)
);
COMMENT ON TABLE model_prices IS 'List prices in USD per million tokens. A row is never edited: a new price is a new row with a later effective_from.';
COMMENT ON COLUMN model_prices.cached_input_usd_per_million IS 'Of input that the provider had in its cache; NULL where that costs what other input costs.';
COMMENT ON COLUMN model_prices.source IS 'Where the price stood, in words.';
COMMENT ON COLUMN model_prices.noted_on IS 'The day on which it is known to have stood there.';
GRANT SELECT ON model_prices TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION keep_model_prices() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'a price is never edited or removed: add a row with a later effective_from' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER model_prices_are_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON model_prices
    FOR EACH STATEMENT EXECUTE FUNCTION keep_model_prices();

-- Prices as their providers listed them on the day noted; operators add rows as prices change (`bailiwick prices`).
INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, cached_input_usd_per_million, source, noted_on) VALUES
    ('openai', 'text-embedding-3-small', '2024-01-25 00:00+00', 0.02, 0, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'text-embedding-3-large', '2024-01-25 00:00+00', 0.13, 0, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'text-embedding-ada-002', '2023-06-13 00:00+00', 0.10, 0, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-3.5-turbo', '2024-01-25 00:00+00', 0.50, 1.50, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4', '2023-03-14 00:00+00', 30, 60, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4-turbo', '2024-04-09 00:00+00', 10, 30, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4o', '2024-10-01 00:00+00', 2.50, 10, 1.25, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4o-mini', '2024-07-18 00:00+00', 0.15, 0.60, 0.075, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4.1', '2025-04-14 00:00+00', 2, 8, 0.50, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4.1-mini', '2025-04-14 00:00+00', 0.40, 1.60, 0.10, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4.1-nano', '2025-04-14 00:00+00', 0.10, 0.40, 0.025, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o1', '2024-12-17 00:00+00', 15, 60, 7.50, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o3', '2025-06-10 00:00+00', 2, 8, 0.50, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o3-mini', '2025-01-31 00:00+00', 1.10, 4.40, 0.55, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o4-mini', '2025-04-16 00:00+00', 1.10, 4.40, 0.275, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5', '2025-08-07 00:00+00', 1.25, 10, 0.125, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5-mini', '2025-08-07 00:00+00', 0.25, 2, 0.025, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5-nano', '2025-08-07 00:00+00', 0.05, 0.40, 0.005, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5.4', '2026-06-01 00:00+00', 2.50, 15, 0.25, 'as reported from OpenAI''s API pricing page', '2026-06-01'),
    ('openai', 'gpt-5.5', '2026-06-01 00:00+00', 5, 30, 0.50, 'as reported from OpenAI''s API pricing page', '2026-06-01'),
    ('anthropic', 'claude-3-haiku', '2024-03-13 00:00+00', 0.25, 1.25, 0.03, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-opus', '2024-03-04 00:00+00', 15, 75, 1.50, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-5-haiku', '2024-11-04 00:00+00', 0.80, 4, 0.08, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-5-sonnet', '2024-06-20 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-7-sonnet', '2025-02-24 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-sonnet-4', '2025-05-22 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-opus-4', '2025-05-22 00:00+00', 15, 75, 1.50, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-opus-4-1', '2025-08-05 00:00+00', 15, 75, 1.50, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-sonnet-4-5', '2025-09-29 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-haiku-4-5', '2025-10-15 00:00+00', 1, 5, 0.10, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-opus-4-5', '2025-11-24 00:00+00', 5, 25, 0.50, 'Anthropic: pricing page of the Claude documentation', '2025-11-25'),
    ('google', 'gemini-embedding-001', '2025-07-14 00:00+00', 0.15, 0, NULL, 'Google: pricing page of the Gemini API', '2025-10-01'),
    ('google', 'gemini-2.0-flash', '2025-02-05 00:00+00', 0.10, 0.40, 0.025, 'Google: pricing page of the Gemini API', '2025-10-01'),
    ('google', 'gemini-2.0-flash-lite', '2025-02-25 00:00+00', 0.075, 0.30, NULL, 'Google: pricing page of the Gemini API', '2025-10-01'),
    ('google', 'gemini-2.5-pro', '2025-06-17 00:00+00', 1.25, 10, 0.125, 'Google: pricing page of the Gemini API, prompts up to 200,000 tokens', '2025-10-01'),
    ('google', 'gemini-2.5-flash', '2025-06-17 00:00+00', 0.30, 2.50, 0.03, 'Google: pricing page of the Gemini API, text, images and video', '2025-10-01'),
    ('google', 'gemini-2.5-flash-lite', '2025-07-22 00:00+00', 0.10, 0.40, 0.01, 'Google: pricing page of the Gemini API, text, images and video', '2025-10-01'),
    ('cohere', 'embed-english-v3.0', '2023-11-02 00:00+00', 0.10, 0, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'embed-multilingual-v3.0', '2023-11-02 00:00+00', 0.10, 0, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'embed-v4.0', '2025-04-15 00:00+00', 0.12, 0, NULL, 'Cohere: pricing page, text', '2025-04-15'),
    ('cohere', 'command-r7b-12-2024', '2024-12-13 00:00+00', 0.0375, 0.15, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'command-r-08-2024', '2024-08-30 00:00+00', 0.15, 0.60, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'command-r-plus-08-2024', '2024-08-30 00:00+00', 2.50, 10, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'command-a-03-2025', '2025-03-13 00:00+00', 2.50, 10, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('voyage', 'voyage-3', '2024-09-18 00:00+00', 0.06, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3-lite', '2024-09-18 00:00+00', 0.02, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3-large', '2025-01-07 00:00+00', 0.18, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3.5', '2025-05-20 00:00+00', 0.06, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3.5-lite', '2025-05-20 00:00+00', 0.02, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-code-3', '2024-12-04 00:00+00', 0.18, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-context-3', '2025-07-23 00:00+00', 0.18, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-finance-2', '2024-06-03 00:00+00', 0.12, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-law-2', '2024-04-15 00:00+00', 0.12, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('mistral', 'mistral-embed', '2023-12-11 00:00+00', 0.10, 0, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'codestral-embed-2505', '2025-05-28 00:00+00', 0.15, 0, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'mistral-large-2411', '2024-11-18 00:00+00', 2, 6, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'mistral-medium-2505', '2025-05-07 00:00+00', 0.40, 2, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'mistral-small-2503', '2025-03-17 00:00+00', 0.10, 0.30, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'codestral-2501', '2025-01-13 00:00+00', 0.30, 0.90, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'ministral-8b-2410', '2024-10-16 00:00+00', 0.10, 0.10, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'ministral-3b-2410', '2024-10-16 00:00+00', 0.04, 0.04, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'magistral-medium-2506', '2025-06-10 00:00+00', 2, 5, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('ollama', 'llama3.2', '2024-09-25 00:00+00', 0, 0, NULL, 'runs on own hardware', '2024-09-25');
-- A sequence of its own: PostgreSQL 16 knows no identity columns on partitioned tables.
CREATE SEQUENCE cost_tracking_id_seq;

CREATE TABLE cost_tracking (
    id            bigint NOT NULL DEFAULT nextval('cost_tracking_id_seq'),
    "timestamp"   timestamptz NOT NULL DEFAULT now(),
    tenant_id     uuid NOT NULL,
    user_id       text NOT NULL,
    call_id       uuid,
    model_name    text NOT NULL,
    provider      text NOT NULL,
    input_tokens  integer NOT NULL,
    output_tokens integer NOT NULL,
    cached_input_tokens integer NOT NULL DEFAULT 0,
    total_tokens  integer GENERATED ALWAYS AS (input_tokens + output_tokens) STORED,
    input_cost    numeric(24, 12) NOT NULL,
    output_cost   numeric(24, 12) NOT NULL,
    total_cost    numeric(24, 12) GENERATED ALWAYS AS (input_cost + output_cost) STORED,
    operation     text,
    tool          text,
    is_priced     boolean NOT NULL DEFAULT true,
    metadata      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, "timestamp", id),
    -- Half of the integer range each, so that the generated sum cannot overflow.
    CONSTRAINT cost_tracking_tokens_in_range
        CHECK (input_tokens BETWEEN 0 AND 1000000000 AND output_tokens BETWEEN 0 AND 1000000000),
    CONSTRAINT cost_tracking_cached_is_part_of_input CHECK (cached_input_tokens BETWEEN 0 AND input_tokens),
    CONSTRAINT cost_tracking_costs_not_negative CHECK (input_cost >= 0 AND input_cost < 'NaN' AND output_cost >= 0 AND output_cost < 'NaN')
) PARTITION BY RANGE ("timestamp");
COMMENT ON TABLE cost_tracking IS 'Every token spent, priced: one row for each paid operation.';
COMMENT ON COLUMN cost_tracking.input_cost IS 'USD to twelve decimals: ten tokens of a small embedding model cost 0.0000002.';
COMMENT ON COLUMN cost_tracking.cached_input_tokens IS 'Of input_tokens, those that the provider had in its cache; input_cost has them at their own price.';
COMMENT ON COLUMN cost_tracking.tool IS 'The tool that they were spent by: one of this server''s, or whatever the caller names.';
COMMENT ON COLUMN cost_tracking.is_priced IS 'False where the model had no price: the row then costs 0 because nobody knows better.';
COMMENT ON COLUMN cost_tracking.call_id IS 'The call that spent it, as in audit_logs.';
CREATE INDEX idx_cost_tracking_user_timestamp ON cost_tracking (tenant_id, user_id, "timestamp" DESC);

CREATE TABLE cost_tracking_default PARTITION OF cost_tracking DEFAULT;
ALTER TABLE cost_tracking_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking_default FORCE ROW LEVEL SECURITY;
CREATE POLICY admin_full_access_policy ON cost_tracking_default FOR ALL TO bailiwick_owner
    USING (current_setting('app.current_user_role', true) = 'admin') WITH CHECK (current_setting('app.current_user_role', true) = 'admin');

CREATE TABLE budget_ledger (
    tenant_id    uuid NOT NULL,
    period       text NOT NULL,
    starts       date NOT NULL,
    user_id      text NOT NULL DEFAULT '',
    spent_usd    numeric(24, 12) NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, period, starts, user_id),
    CONSTRAINT budget_ledger_not_negative CHECK (spent_usd >= 0 AND spent_usd < 'NaN'),
    CONSTRAINT budget_ledger_period_known CHECK (period = 'day' OR period = 'month' AND extract(day FROM starts) = 1)
) WITH (fillfactor = 50);
COMMENT ON TABLE budget_ledger IS
    'What was spent in a UTC day or month, by a tenant as a whole and by each of its users: the sum of the cost_tracking rows. Whoever spends or reserves locks its rows.';
COMMENT ON COLUMN budget_ledger.user_id IS 'Empty for the tenant as a whole.';

-- The rows of the ledger that money spent at that moment by that user counts in. Everybody who changes several of them does so in
-- the order of their key, so that nobody waits in a ring.
CREATE FUNCTION budget_accounts(p_at timestamptz, p_user_id text) RETURNS TABLE (period text, starts date, user_id text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT times.period, times.starts, users.user_id
    FROM (VALUES ('day', (p_at AT TIME ZONE 'UTC')::date),
                 ('month', date_trunc('month', p_at AT TIME ZONE 'UTC')::date)) AS times (period, starts)
    CROSS JOIN (VALUES ('') UNION VALUES (p_user_id)) AS users (user_id)
$$;
COMMENT ON FUNCTION budget_accounts(timestamptz, text) IS 'The rows of budget_ledger that money spent then by that user counts in.';

CREATE TABLE budget_alerts (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL DEFAULT gen_random_uuid(),
    period        text NOT NULL,
    starts        date NOT NULL,
    user_id       text NOT NULL DEFAULT '',
    level         text NOT NULL,
    limit_usd     numeric(24, 12) NOT NULL,
    spent_usd     numeric(24, 12) NOT NULL,
    raised_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    announced_at  timestamptz,
    delivered_at  timestamptz,
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts      integer NOT NULL DEFAULT 0,
    given_up_at   timestamptz,
    PRIMARY KEY (tenant_id, id),
    -- Once for each crossing of a limit; another limit is crossed anew.
    CONSTRAINT budget_alerts_once UNIQUE (tenant_id, period, starts, user_id, level, limit_usd),
    CONSTRAINT budget_alerts_level_known CHECK (level IN ('WARNING', 'EXCEEDED'))
);
COMMENT ON TABLE budget_alerts IS 'Budgets that came near their limit or reached it, for whoever is to be told: the trail, the log, a webhook.';
COMMENT ON COLUMN budget_alerts.announced_at IS 'When the trail and the log were told; a server does so within seconds.';
COMMENT ON COLUMN budget_alerts.delivered_at IS 'When the webhook had it; the same where there is none.';
COMMENT ON COLUMN budget_alerts.due_at IS 'When it is tried next.';
COMMENT ON COLUMN budget_alerts.given_up_at IS 'When it was tried for the last time: its period was over, and a day had passed since it was raised.';
CREATE INDEX idx_budget_alerts_open ON budget_alerts (tenant_id, due_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;

-- What a tenant may spend by settings: {"budget": {"mode": "hard", "warning_percent": 90, "daily_usd": 5, "user_monthly_usd": 10, "user_daily_usd": 1}}.
CREATE FUNCTION budget_limits(p_monthly_budget_usd numeric, p_settings jsonb)
RETURNS TABLE (period text, is_user boolean, limit_usd numeric, warning_usd numeric, is_hard boolean)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.period, l.is_user, l.limit_usd,
           l.limit_usd * coalesce((p_settings #>> '{budget,warning_percent}')::numeric, 90) / 100,
           coalesce(p_settings #>> '{budget,mode}', 'hard') = 'hard'
    FROM (VALUES ('month', false, p_monthly_budget_usd),
                 ('day', false, (p_settings #>> '{budget,daily_usd}')::numeric),
                 ('month', true, (p_settings #>> '{budget,user_monthly_usd}')::numeric),
                 ('day', true, (p_settings #>> '{budget,user_daily_usd}')::numeric)) AS l (period, is_user, limit_usd)
    WHERE l.limit_usd IS NOT NULL
$$;
COMMENT ON FUNCTION budget_limits(numeric, jsonb) IS 'The spending limits of a tenant, by its monthly budget and its settings.';

CREATE FUNCTION are_budget_settings(p_settings jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT p_settings ? 'budget' OR jsonb_typeof(p_settings -> 'budget') = 'object' AND NOT EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof(p_settings -> 'budget') WHEN 'object' THEN p_settings -> 'budget' ELSE '{}' END) AS s
        WHERE NOT CASE
            WHEN s.key = 'mode' THEN s.value IN ('"hard"', '"soft"')
            WHEN s.key = 'warning_percent' THEN s.value BETWEEN '1' AND '100' AND jsonb_typeof(s.value) = 'number'
            WHEN s.key IN ('daily_usd', 'user_monthly_usd', 'user_daily_usd') THEN jsonb_typeof(s.value) = 'number' AND s.value >= '0' AND s.value < '1000000000'
            ELSE false
        END)
$$;
COMMENT ON FUNCTION are_budget_settings(jsonb) IS 'Whether the budget among a tenant''s settings makes sense: what does not would be no limit at all.';
ALTER TABLE tenants ADD CONSTRAINT tenants_budget_settings CHECK (are_budget_settings(settings));


-- What is done about a model without a price: {"costs": {"unknown_models": "refuse"}} (also where nothing is said), or "flag".
CREATE FUNCTION are_cost_settings(p_settings jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT p_settings ? 'costs' OR jsonb_typeof(p_settings -> 'costs') = 'object' AND NOT EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof(p_settings -> 'costs') WHEN 'object' THEN p_settings -> 'costs' ELSE '{}' END) AS s
        WHERE NOT (s.key = 'unknown_models' AND s.value IN ('"refuse"', '"flag"')))
$$;
COMMENT ON FUNCTION are_cost_settings(jsonb) IS 'Whether what a tenant''s settings say of costs makes sense.';
ALTER TABLE tenants ADD CONSTRAINT tenants_cost_settings CHECK (are_cost_settings(settings));

SELECT protect_tenant_table('cost_tracking'), protect_tenant_table('budget_ledger'), protect_tenant_table('budget_alerts');
GRANT SELECT, INSERT ON cost_tracking TO bailiwick_app;
GRANT USAGE ON SEQUENCE cost_tracking_id_seq TO bailiwick_app;
GRANT SELECT ON budget_ledger TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE ON budget_ledger TO bailiwick_definer;
GRANT SELECT, INSERT ON budget_alerts TO bailiwick_definer;
GRANT SELECT, UPDATE (announced_at, delivered_at, due_at, attempts, given_up_at) ON budget_alerts TO bailiwick_app;
GRANT EXECUTE ON FUNCTION budget_accounts(timestamptz, text), budget_limits(numeric, jsonb) TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION raise_budget_alerts(p_tenant_id uuid, p_user_id text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO budget_alerts (tenant_id, period, starts, user_id, level, limit_usd, spent_usd)
    SELECT p_tenant_id, l.period, l.starts, l.user_id, levels.level, limits.limit_usd, l.spent_usd
    FROM tenants t
    CROSS JOIN LATERAL budget_limits(t.monthly_budget_usd, t.settings) AS limits
    JOIN budget_accounts(p_at, p_user_id) AS a ON a.period = limits.period AND (a.user_id <> '') = limits.is_user
    JOIN budget_ledger l ON l.tenant_id = p_tenant_id AND l.period = a.period AND l.starts = a.starts AND l.user_id = a.user_id
    CROSS JOIN LATERAL (VALUES ('WARNING', limits.warning_usd), ('EXCEEDED', limits.limit_usd)) AS levels (level, from_usd)
    WHERE t.id = p_tenant_id AND l.spent_usd >= levels.from_usd AND l.spent_usd > 0
      -- The server's own work, which no user's limit binds; no caller can have its name.
      AND l.user_id <> 'bailiwick-embedder'
    ORDER BY l.period, l.starts, l.user_id, levels.level
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION raise_budget_alerts(uuid, text, timestamptz) IS 'Notes which limits are crossed by now, each once.';

CREATE FUNCTION post_costs_to_ledger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO budget_ledger AS l (tenant_id, period, starts, user_id, spent_usd)
    SELECT i.tenant_id, a.period, a.starts, a.user_id, sum(i.total_cost)
    FROM inserted i CROSS JOIN LATERAL budget_accounts(i."timestamp", i.user_id) AS a
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (tenant_id, period, starts, user_id) DO UPDATE SET spent_usd = l.spent_usd + excluded.spent_usd;
    PERFORM raise_budget_alerts(spent.tenant_id, spent.user_id, spent.day AT TIME ZONE 'UTC')
    FROM (SELECT DISTINCT i.tenant_id, i.user_id, date_trunc('day', i."timestamp" AT TIME ZONE 'UTC') AS day
          FROM inserted i WHERE i.total_cost > 0 ORDER BY 1, 2, 3) AS spent;
    RETURN NULL;
END
$$;

CREATE TRIGGER cost_tracking_10_post_to_ledger AFTER INSERT ON cost_tracking
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION post_costs_to_ledger();

ALTER FUNCTION raise_budget_alerts(uuid, text, timestamptz) OWNER TO bailiwick_definer;
ALTER FUNCTION post_costs_to_ledger() OWNER TO bailiwick_definer;

-- Reports of months would read every row of them. Sums are kept by the same statement that adds a row, so that they are exact at any
-- moment, for rows that come late as well. Users are many and the other kinds few, so only sums by day are kept for each user.
CREATE TABLE cost_kinds (
    tenant_id  uuid NOT NULL,
    kind_id    uuid NOT NULL,
    provider   text NOT NULL,
    model_name text NOT NULL,
    operation  text,
    tool       text,
    user_id    text,
    PRIMARY KEY (tenant_id, kind_id)
);
COMMENT ON TABLE cost_kinds IS 'What costs are reported by: each combination that a tenant has spent on.';
COMMENT ON COLUMN cost_kinds.kind_id IS 'A hash of the other columns, so that it need not be looked up.';
COMMENT ON COLUMN cost_kinds.user_id IS 'NULL for all users together.';

CREATE TABLE cost_sums (
    tenant_id           uuid NOT NULL,
    grain               text NOT NULL,
    starts              timestamptz NOT NULL,
    kind_id             uuid NOT NULL,
    operations          bigint NOT NULL,
    unpriced            bigint NOT NULL,
    input_tokens        bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    output_tokens       bigint NOT NULL,
    input_cost          numeric NOT NULL,
    output_cost         numeric NOT NULL,
    PRIMARY KEY (tenant_id, grain, starts, kind_id),
    CONSTRAINT cost_sums_grain_known CHECK (grain IN ('hour', 'day', 'user day'))
) WITH (fillfactor = 80);
COMMENT ON TABLE cost_sums IS 'Sums of cost_tracking, kept by a trigger: of all users by UTC hour and by UTC day, of each user by UTC day. Those of all users outlive rows that retention drops.';

CREATE TABLE cost_retention (
    is_row    boolean PRIMARY KEY DEFAULT true,
    rows_from timestamptz NOT NULL,
    CONSTRAINT cost_retention_is_one_row CHECK (is_row)
);
COMMENT ON TABLE cost_retention IS 'Since when cost_tracking has its rows and cost_sums those of each user; no row while retention has dropped nothing.';

CREATE FUNCTION cost_kind_id(p_provider text, p_model_name text, p_operation text, p_tool text, p_user_id text) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(substring(sha256(convert_to(jsonb_build_array(p_provider, p_model_name, p_operation, p_tool, p_user_id)::text, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
$$;
COMMENT ON FUNCTION cost_kind_id(text, text, text, text, text) IS 'The key of cost_kinds.';

-- What a moment is called in reports by day, week (ISO 8601) or month of a time zone; NULL for other units. Without a setting of its own,
-- so that it becomes part of the statement that asks.
CREATE FUNCTION cost_period(p_at timestamptz, p_unit text, p_zone text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT to_char(p_at AT TIME ZONE p_zone, CASE p_unit WHEN 'day' THEN 'YYYY-MM-DD' WHEN 'week' THEN 'IYYY-"W"IW' WHEN 'month' THEN 'YYYY-MM' END)
$$;
COMMENT ON FUNCTION cost_period(timestamptz, text, text) IS 'The day, week or month that a moment is of, in a time zone.';

-- Midnight by inverse is the second one where clocks go back over it, and the day has begun at the first.
CREATE FUNCTION local_midnight(p_day date, p_zone text) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(earlier.at)
    FROM generate_series(0, 12) AS quarters
    CROSS JOIN LATERAL (SELECT (p_day::timestamp AT TIME ZONE p_zone) - quarters * interval '15 minutes' AS at) AS earlier
    WHERE (earlier.at AT TIME ZONE p_zone)::date >= p_day
$$;
COMMENT ON FUNCTION local_midnight(date, text) IS 'The first moment of a day in a time zone.';

CREATE FUNCTION is_time_zone(p_zone text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    -- AT TIME ZONE would take "Asia/Seoul5" as well: as a rule of POSIX.
    SELECT p_zone = 'UTC' OR EXISTS (SELECT FROM pg_timezone_names WHERE name = p_zone)
$$;
COMMENT ON FUNCTION is_time_zone(text) IS 'Whether a time zone of that name is known, in the IANA database''s spelling.';

-- What a report reads: whole days where the day is of one period, hours of the others (of which there are none by user), single rows of
-- what is left. A day or hour in which clocks are changed is not taken whole: periods need not be in one piece then.
CREATE FUNCTION cost_spans(p_from timestamptz, p_to timestamptz, p_by_user boolean, p_first_unit text, p_second_unit text, p_zone text)
RETURNS TABLE (grain text, starts timestamptz, ends timestamptz, first_period text, second_period text)
LANGUAGE sql STABLE ROWS 40 SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH days AS MATERIALIZED (
        SELECT d.starts, d.starts + interval '24 hours' AS ends, cost_period(d.starts, p_first_unit, p_zone) AS first_period,
               cost_period(d.starts, p_second_unit, p_zone) AS second_period
        FROM generate_series(date_trunc('day', p_from, 'UTC'), p_to - interval '1 microsecond', interval '24 hours') AS d (starts)
    ), judged_days AS MATERIALIZED (
        SELECT d.*, d.starts >= p_from AND d.ends <= p_to
                    AND (d.ends AT TIME ZONE p_zone) - (d.starts AT TIME ZONE p_zone) = interval '24 hours'
                    AND d.first_period IS NOT DISTINCT FROM cost_period(d.ends - interval '1 microsecond', p_first_unit, p_zone)
                    AND d.second_period IS NOT DISTINCT FROM cost_period(d.ends - interval '1 microsecond', p_second_unit, p_zone) AS is_whole
        FROM days d
    ), hours AS MATERIALIZED (
        SELECT h.starts, h.starts + interval '1 hour' AS ends, cost_period(h.starts, p_first_unit, p_zone) AS first_period,
               cost_period(h.starts, p_second_unit, p_zone) AS second_period
        FROM judged_days d CROSS JOIN LATERAL generate_series(d.starts, d.ends - interval '1 hour', interval '1 hour') AS h (starts)
        WHERE NOT d.is_whole AND NOT p_by_user AND h.starts < p_to AND h.starts + interval '1 hour' > p_from
    ), judged_hours AS MATERIALIZED (
        SELECT h.*, h.starts >= p_from AND h.ends <= p_to
                    AND (h.ends AT TIME ZONE p_zone) - (h.starts AT TIME ZONE p_zone) = interval '1 hour'
                    AND h.first_period IS NOT DISTINCT FROM cost_period(h.ends - interval '1 microsecond', p_first_unit, p_zone)
                    AND h.second_period IS NOT DISTINCT FROM cost_period(h.ends - interval '1 microsecond', p_second_unit, p_zone) AS is_whole
        FROM hours h
    ), pieces AS (
        SELECT CASE WHEN p_by_user THEN 'user day' ELSE 'day' END AS grain, d.starts, d.ends, d.first_period, d.second_period, interval '24 hours' AS width
        FROM judged_days d WHERE d.is_whole
        UNION ALL
        SELECT 'hour', h.starts, h.ends, h.first_period, h.second_period, interval '1 hour' FROM judged_hours h WHERE h.is_whole
        UNION ALL
        SELECT 'row', h.starts, h.ends, NULL, NULL, interval '1 hour' FROM judged_hours h WHERE NOT h.is_whole
        UNION ALL
        SELECT 'row', d.starts, d.ends, NULL, NULL, interval '24 hours' FROM judged_days d WHERE p_by_user AND NOT d.is_whole
    ), numbered AS (
        -- Neighbours of one period have the same: their distance is their width.
        SELECT p.*, p.starts - p.width * row_number() OVER (PARTITION BY p.grain, p.first_period, p.second_period ORDER BY p.starts) AS island
        FROM pieces p
    )
    SELECT n.grain, greatest(min(n.starts), p_from), least(max(n.ends), p_to), n.first_period, n.second_period
    FROM numbered n GROUP BY n.grain, n.first_period, n.second_period, n.island
$$;
COMMENT ON FUNCTION cost_spans(timestamptz, timestamptz, boolean, text, text, text) IS
    'Cuts a time into stretches that cost_sums has by day, by hour, and not at all; together they are the whole, and none overlap.';

SELECT protect_tenant_table('cost_kinds'), protect_tenant_table('cost_sums');
GRANT SELECT ON cost_kinds, cost_sums TO bailiwick_app;
GRANT SELECT ON cost_retention TO bailiwick_app, bailiwick_definer;
GRANT SELECT, INSERT ON cost_kinds TO bailiwick_definer;
GRANT SELECT, INSERT, UPDATE ON cost_sums TO bailiwick_definer;
-- The administrator's reports read as it.
GRANT SELECT ON cost_tracking TO bailiwick_definer;
GRANT EXECUTE ON FUNCTION cost_kind_id(text, text, text, text, text) TO bailiwick_definer;
GRANT EXECUTE ON FUNCTION cost_period(timestamptz, text, text), local_midnight(date, text), is_time_zone(text),
    cost_spans(timestamptz, timestamptz, boolean, text, text, text) TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION add_costs_to_sums() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    WITH pieces AS MATERIALIZED (
        SELECT i.tenant_id, g.grain, date_trunc(g.unit, i."timestamp", 'UTC') AS starts, i.provider, i.model_name, i.operation, i.tool,
               CASE WHEN g.by_user THEN i.user_id END AS user_id, count(*) AS operations, count(*) FILTER (WHERE NOT i.is_priced) AS unpriced,
               sum(i.input_tokens) AS input_tokens, sum(i.cached_input_tokens) AS cached_input_tokens, sum(i.output_tokens) AS output_tokens,
               sum(i.input_cost) AS input_cost, sum(i.output_cost) AS output_cost
        FROM inserted i CROSS JOIN (VALUES ('hour', 'hour', false), ('day', 'day', false), ('user day', 'day', true)) AS g (grain, unit, by_user)
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), kinds AS MATERIALIZED (
        SELECT k.*, cost_kind_id(k.provider, k.model_name, k.operation, k.tool, k.user_id) AS kind_id
        FROM (SELECT DISTINCT p.tenant_id, p.provider, p.model_name, p.operation, p.tool, p.user_id FROM pieces p) AS k
    ), known AS (
        INSERT INTO cost_kinds (tenant_id, kind_id, provider, model_name, operation, tool, user_id)
        SELECT k.tenant_id, k.kind_id, k.provider, k.model_name, k.operation, k.tool, k.user_id FROM kinds k
        WHERE NOT EXISTS (SELECT FROM cost_kinds c WHERE c.tenant_id = k.tenant_id AND c.kind_id = k.kind_id)
        ORDER BY 1, 2
        ON CONFLICT (tenant_id, kind_id) DO NOTHING
    )
    INSERT INTO cost_sums AS s (tenant_id, grain, starts, kind_id, operations, unpriced, input_tokens, cached_input_tokens, output_tokens, input_cost, output_cost)
    SELECT p.tenant_id, p.grain, p.starts, k.kind_id, p.operations, p.unpriced, p.input_tokens, p.cached_input_tokens, p.output_tokens, p.input_cost, p.output_cost
    FROM pieces p
    JOIN kinds k ON k.tenant_id = p.tenant_id AND k.provider = p.provider AND k.model_name = p.model_name AND k.operation IS NOT DISTINCT FROM p.operation
                AND k.tool IS NOT DISTINCT FROM p.tool AND k.user_id IS NOT DISTINCT FROM p.user_id
    -- As everybody who adds, so that nobody waits in a ring.
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (tenant_id, grain, starts, kind_id) DO UPDATE
    SET operations = s.operations + excluded.operations, unpriced = s.unpriced + excluded.unpriced,
        input_tokens = s.input_tokens + excluded.input_tokens, cached_input_tokens = s.cached_input_tokens + excluded.cached_input_tokens,
        output_tokens = s.output_tokens + excluded.output_tokens,
        input_cost = s.input_cost + excluded.input_cost, output_cost = s.output_cost + excluded.output_cost;
    RETURN NULL;
END
$$;
-- After the ledger, whose lock keeps a tenant's spenders of one month apart.
CREATE TRIGGER cost_tracking_20_add_to_sums AFTER INSERT ON cost_tracking
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION add_costs_to_sums();
ALTER FUNCTION add_costs_to_sums() OWNER TO bailiwick_definer;

SELECT maintain_partitions();

-- ==== 000007_statistics.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- Figures per tenant, refreshed on a schedule.
SET LOCAL ROLE bailiwick_owner;

-- A refresh runs as the view's owner, whom FORCE subjects to the policies like anybody else: these let it count.
CREATE POLICY tenants_statistics ON tenants FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY documents_statistics ON documents FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY cost_tracking_statistics ON cost_tracking FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY embedding_attempts_statistics ON embedding_attempts FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY budget_alerts_statistics ON budget_alerts FOR SELECT TO bailiwick_statistics USING (true);
GRANT SELECT ON tenants, documents, cost_tracking, embedding_attempts, budget_alerts TO bailiwick_statistics;

SET LOCAL ROLE bailiwick_statistics;
CREATE MATERIALIZED VIEW tenant_statistics AS
SELECT t.id AS tenant_id,
       t.name AS tenant_name,
       coalesce(d.document_count, 0) AS document_count,
       coalesce(d.total_size_mb, 0)::numeric(20, 6) AS total_size_mb,
       coalesce(d.embedded_documents, 0) AS embedded_documents,
       d.last_document_created,
       coalesce(c.monthly_cost, 0)::numeric(24, 12) AS monthly_cost,
       now() AS as_of
FROM tenants t
-- Each side is summed by itself, so that neither multiplies nor hides the other.
LEFT JOIN (
    SELECT tenant_id, count(*) AS document_count, sum(octet_length(content)) / 1048576.0 AS total_size_mb,
           count(*) FILTER (WHERE embedding_status = 'embedded') AS embedded_documents, max(created_at) AS last_document_created
    FROM documents GROUP BY tenant_id
) AS d ON d.tenant_id = t.id
LEFT JOIN (
    SELECT tenant_id, sum(total_cost) AS monthly_cost
    FROM cost_tracking
    WHERE "timestamp" >= date_trunc('month', now(), 'UTC')
    GROUP BY tenant_id
) AS c ON c.tenant_id = t.id
WHERE t.status = 'active';
COMMENT ON MATERIALIZED VIEW tenant_statistics IS
    'Figures per active tenant as of the last refresh. A materialized view has no row-level security, so no role but its owner reads it: current_tenant_statistics() shows a tenant its own row.';
CREATE UNIQUE INDEX idx_tenant_statistics_tenant_id ON tenant_statistics (tenant_id);

CREATE FUNCTION refresh_tenant_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    REFRESH MATERIALIZED VIEW CONCURRENTLY public.tenant_statistics;
END
$$;
COMMENT ON FUNCTION refresh_tenant_statistics() IS 'Recounts tenant_statistics without blocking its readers.';
REVOKE EXECUTE ON FUNCTION refresh_tenant_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_tenant_statistics() TO bailiwick_owner;

CREATE FUNCTION refresh_stale_statistics(p_older_than interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('bailiwick.refresh_statistics', 0))
       OR EXISTS (SELECT FROM tenant_statistics s WHERE s.as_of > now() - p_older_than) THEN
        RETURN false;
    END IF;
    PERFORM refresh_tenant_statistics();
    RETURN true;
END
$$;
COMMENT ON FUNCTION refresh_stale_statistics(interval) IS
    'Recounts tenant_statistics if the last count is older than that and nobody else is counting, so that of several servers one does.';
REVOKE EXECUTE ON FUNCTION refresh_stale_statistics(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_stale_statistics(interval) TO bailiwick_owner;

CREATE FUNCTION current_tenant_statistics() RETURNS SETOF tenant_statistics
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT * FROM tenant_statistics WHERE tenant_id = current_tenant_id() $$;
COMMENT ON FUNCTION current_tenant_statistics() IS 'The current tenant''s row of tenant_statistics.';
REVOKE EXECUTE ON FUNCTION current_tenant_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION current_tenant_statistics() TO bailiwick_app, bailiwick_owner;

CREATE FUNCTION tenants_to_embed() RETURNS SETOF uuid
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH leases AS MATERIALIZED (
        SELECT DISTINCT lease FROM embedding_attempts WHERE due_at > now() AND lease IS NOT NULL
    ), dead AS MATERIALIZED (
        SELECT lease FROM leases WHERE pg_try_advisory_xact_lock(lease)
    )
    SELECT t.id FROM tenants t
    WHERE t.status = 'active' AND EXISTS (
        SELECT FROM documents d
        LEFT JOIN embedding_attempts a ON a.tenant_id = d.tenant_id AND a.document_id = d.id
        WHERE d.tenant_id = t.id AND d.embedding_status = 'pending'
          AND (a.due_at IS NULL OR a.due_at <= now() OR a.lease IN (SELECT dead.lease FROM dead)))
    -- Servers side by side begin at different ones.
    ORDER BY random() LIMIT 100
$$;
COMMENT ON FUNCTION tenants_to_embed() IS
    'Active tenants with documents that wait to be embedded, in no order: their ids and nothing else. What is done for them is done in each one''s own context.';
REVOKE EXECUTE ON FUNCTION tenants_to_embed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_to_embed() TO bailiwick_app;

CREATE FUNCTION open_budget_alerts() RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT a.tenant_id, a.id FROM budget_alerts a JOIN tenants t ON t.id = a.tenant_id
    -- Those of a suspended tenant wait for it: no call of its own would be let in to tell them, and their time would run out.
    WHERE t.status = 'active' AND a.delivered_at IS NULL AND a.given_up_at IS NULL AND a.due_at <= now()
    ORDER BY a.due_at LIMIT 100
$$;
COMMENT ON FUNCTION open_budget_alerts() IS
    'Alerts of any tenant that are to be told now: their ids and nothing else. What they say is read in each one''s own context.';
REVOKE EXECUTE ON FUNCTION open_budget_alerts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_budget_alerts() TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;

-- ==== 000008_hybrid_search.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- Hybrid search for people with psql: the ranking of the tool, scored in SQL.
SET LOCAL ROLE bailiwick_owner;

CREATE FUNCTION block_postings(p_postings bytea, p_lexeme text)
RETURNS TABLE (chunk_no integer, ordinal integer, frequency integer, length integer)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    v_at integer := 5; -- behind version and checksum
    v_wanted bytea := convert_to(p_lexeme, 'UTF8');
    v_lexeme bytea := '';
    v_numbers bigint[];
    v_number bigint;
    v_shift integer;
    v_byte integer;
    v_stop integer;
    v_chunk_no bigint := 0;
    v_next integer;
BEGIN
    WHILE v_at < octet_length(p_postings) LOOP
        -- An entry: bytes shared with the lexeme before, bytes of its own, those bytes, size of the list, number of postings.
        v_numbers := '{}';
        WHILE cardinality(v_numbers) < 4 LOOP
            v_number := 0; v_shift := 0;
            LOOP
                v_byte := get_byte(p_postings, v_at);
                v_at := v_at + 1;
                v_number := v_number | ((v_byte & 127)::bigint << v_shift);
                EXIT WHEN v_byte < 128;
                v_shift := v_shift + 7;
            END LOOP;
            v_numbers := v_numbers || v_number;
            IF cardinality(v_numbers) = 2 THEN
                v_lexeme := substr(v_lexeme, 1, v_numbers[1]::integer) || substr(p_postings, v_at + 1, v_numbers[2]::integer);
                v_at := v_at + v_numbers[2]::integer;
            END IF;
        END LOOP;
        EXIT WHEN v_lexeme > v_wanted;
        v_stop := v_at + v_numbers[3]::integer;
        IF v_lexeme = v_wanted THEN
            v_next := 0;
            WHILE v_at < v_stop LOOP
                v_number := 0; v_shift := 0;
                LOOP
                    v_byte := get_byte(p_postings, v_at);
                    v_at := v_at + 1;
                    v_number := v_number | ((v_byte & 127)::bigint << v_shift);
                    EXIT WHEN v_byte < 128;
                    v_shift := v_shift + 7;
                END LOOP;
                -- A posting: distance from the chunk before, with two flags; length; ordinal and frequency where flagged.
                IF v_next = 0 THEN
                    v_chunk_no := v_chunk_no + (v_number >> 2);
                    v_numbers[4] := v_number & 3;
                    v_next := 1;
                ELSIF v_next = 1 THEN
                    chunk_no := v_chunk_no; ordinal := 0; frequency := 1; length := v_number;
                    v_next := CASE WHEN v_numbers[4] & 2 > 0 THEN 2 WHEN v_numbers[4] & 1 > 0 THEN 3 ELSE 0 END;
                ELSIF v_next = 2 THEN
                    ordinal := v_number;
                    v_next := CASE WHEN v_numbers[4] & 1 > 0 THEN 3 ELSE 0 END;
                ELSE
                    frequency := v_number;
                    v_next := 0;
                END IF;
                IF v_next = 0 THEN
                    RETURN NEXT;
                END IF;
            END LOOP;
            EXIT;
        END IF;
        v_at := v_stop;
    END LOOP;
END
$$;
COMMENT ON FUNCTION block_postings(bytea, text) IS 'The postings of one lexeme in a block of posting_blocks.';
GRANT EXECUTE ON FUNCTION block_postings(bytea, text) TO bailiwick_app;

CREATE FUNCTION hybrid_search(
    p_tenant_id uuid,
    p_query text,
    p_query_embedding vector,
    p_limit integer DEFAULT 10,
    p_bm25_weight double precision DEFAULT 0.5,
    p_vector_weight double precision DEFAULT 0.5
) RETURNS TABLE (
    id uuid, title text, content text,
    combined_score double precision, bm25_score double precision, vector_score double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    WITH collection AS (
        SELECT u.chunk_count::double precision AS chunks, u.total_length::double precision / nullif(u.chunk_count, 0) AS mean_length
        FROM tenant_usage u WHERE u.tenant_id = p_tenant_id
    ), terms AS MATERIALIZED (
        SELECT t.lexeme, t.frequency FROM query_terms(p_tenant_id, p_query) AS t WHERE p_bm25_weight > 0
    ), postings AS MATERIALIZED (
        SELECT f.chunk_no, f.ordinal, f.length, held.lexeme, held.positions[1]::integer AS frequency
        FROM fresh_postings f
        CROSS JOIN LATERAL unnest(f.terms) AS held
        WHERE f.tenant_id = p_tenant_id AND held.lexeme IN (SELECT terms.lexeme FROM terms)
        UNION ALL
        SELECT p.chunk_no, p.ordinal, p.length, t.lexeme, p.frequency
        FROM terms t
        CROSS JOIN LATERAL (
            SELECT b.postings FROM posting_blocks b WHERE b.tenant_id = p_tenant_id AND b.first_lexeme = t.lexeme
            UNION ALL
            -- The lexeme may begin in the block before the first that begins with it.
            (SELECT b.postings FROM posting_blocks b
             WHERE b.tenant_id = p_tenant_id AND b.first_lexeme < t.lexeme
             ORDER BY b.first_lexeme DESC, b.first_chunk_no DESC LIMIT 1)
        ) AS block
        CROSS JOIN LATERAL block_postings(block.postings, t.lexeme) AS p
        WHERE NOT EXISTS (SELECT FROM chunk_tombstones d WHERE d.tenant_id = p_tenant_id AND d.chunk_no = p.chunk_no)
    ), idf AS (
        SELECT t.lexeme, t.frequency, ln(1 + (c.chunks - count(p.chunk_no) + 0.5) / (count(p.chunk_no) + 0.5)) AS weight
        FROM terms t CROSS JOIN collection c LEFT JOIN postings p ON p.lexeme = t.lexeme
        GROUP BY t.lexeme, t.frequency, c.chunks
    ), bm25_chunks AS (
        -- Robertson and Zaragoza (2009) with k1 = 1.2, b = 0.75, without the constant factor k1 + 1, as in Lucene.
        SELECT p.chunk_no, p.ordinal,
               sum(idf.weight * idf.frequency * p.frequency
                   / (p.frequency + 1.2 * (0.25 + 0.75 * p.length / c.mean_length))) AS score
        FROM postings p JOIN idf ON idf.lexeme = p.lexeme CROSS JOIN collection c
        GROUP BY p.chunk_no, p.ordinal
    ), bm25_documents AS (
        SELECT first_chunk_no, score, row_number() OVER (ORDER BY score DESC, first_chunk_no) AS rank
        FROM (SELECT chunk_no - ordinal AS first_chunk_no, max(score) AS score FROM bm25_chunks GROUP BY 1) AS best
        ORDER BY score DESC, first_chunk_no LIMIT 200
    ), vector_documents AS (
        SELECT first_chunk_no, score, row_number() OVER (ORDER BY score DESC, first_chunk_no) AS rank
        FROM (
            SELECT c.chunk_no - c.ordinal AS first_chunk_no, max(1 - (c.embedding <=> l2_normalize(p_query_embedding)::halfvec)) AS score
            FROM document_chunks c
            WHERE c.tenant_id = p_tenant_id AND c.embedding IS NOT NULL AND p_query_embedding IS NOT NULL AND p_vector_weight > 0
              -- Vectors of different models are never compared: p_query_embedding is of the tenant's newest.
              AND c.embedding_model_id = (SELECT max(own.embedding_model_id) FROM document_chunks own WHERE own.tenant_id = p_tenant_id)
            GROUP BY 1
        ) AS best
        ORDER BY score DESC, first_chunk_no LIMIT 100
    ), fused AS (
        -- Reciprocal Rank Fusion (Cormack, Clarke and Buettcher 2009) with k = 60; a side without the document adds nothing.
        SELECT coalesce(b.first_chunk_no, v.first_chunk_no) AS first_chunk_no,
               coalesce(p_bm25_weight / (60 + b.rank), 0) + coalesce(p_vector_weight / (60 + v.rank), 0) AS combined_score,
               b.score AS bm25_score, v.score AS vector_score
        FROM bm25_documents b FULL JOIN vector_documents v ON v.first_chunk_no = b.first_chunk_no
    )
    SELECT d.id, d.title, d.content, f.combined_score, f.bm25_score, f.vector_score
    FROM fused f
    JOIN document_chunks c ON c.tenant_id = p_tenant_id AND c.chunk_no = f.first_chunk_no
    JOIN documents d ON d.tenant_id = p_tenant_id AND d.id = c.document_id
    ORDER BY f.combined_score DESC, f.first_chunk_no
    LIMIT p_limit
$$;
COMMENT ON FUNCTION hybrid_search(uuid, text, vector, integer, double precision, double precision) IS
    'BM25 and vector similarity fused by Reciprocal Rank Fusion, for the tenant of the transaction''s context. A side''s score is NULL where the document is not among its best, 200 by words and 100 by vectors.';
GRANT EXECUTE ON FUNCTION hybrid_search(uuid, text, vector, integer, double precision, double precision) TO bailiwick_app;

-- ==== 000009_demo_tenants.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- Two tenants to try things with.
SET LOCAL ROLE bailiwick_owner;
SET LOCAL app.current_user_role = 'admin';

INSERT INTO tenants (name, slug, settings, monthly_budget_usd) VALUES
    ('Demo Tenant', 'demo', '{"tier": "free"}', 50.00),
    ('Enterprise Tenant', 'enterprise', '{"tier": "enterprise"}', 500.00)
ON CONFLICT (slug) DO NOTHING;

SET LOCAL app.current_user_role = '';

-- ==== 000010_calls.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- How calls end: intents of those under way that change something, the functions that close a call, and the reaper.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE call_intents (
    tenant_id    uuid NOT NULL,
    call_id      uuid NOT NULL,
    user_id      text NOT NULL,
    action       text NOT NULL,
    resource     text,
    started_at   timestamptz NOT NULL,
    opened_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease        bigint NOT NULL,
    reserved_usd numeric(24, 12) NOT NULL DEFAULT 0,
    reserved_at  timestamptz,
    user_agent   text,
    ip_address   inet,
    PRIMARY KEY (tenant_id, call_id),
    CONSTRAINT call_intents_reservation CHECK (reserved_usd = 0 OR reserved_usd > 0 AND reserved_usd < 'NaN' AND reserved_at IS NOT NULL)
);
COMMENT ON TABLE call_intents IS 'Calls under way that change data or spend money, committed before they begin: what a dead server leaves open is known by it.';
COMMENT ON COLUMN call_intents.started_at IS 'As in audit_logs."timestamp".';
COMMENT ON COLUMN call_intents.opened_at IS 'By the database''s clock, for the reaper: no call lives long.';
COMMENT ON COLUMN call_intents.reserved_at IS 'Which day and month the reservation is of, and what it pays for, too: a call that crosses midnight is one of the day before.';
COMMENT ON COLUMN call_intents.lease IS 'Advisory lock key that the serving process holds while it lives.';
CREATE INDEX idx_call_intents_lease ON call_intents (lease);

SELECT protect_tenant_table('call_intents');
-- What is held is set by reserve_budget() alone.
GRANT SELECT, INSERT (tenant_id, call_id, user_id, action, resource, started_at, lease, user_agent, ip_address), UPDATE (lease) ON call_intents TO bailiwick_app;
GRANT SELECT, DELETE, UPDATE (reserved_usd, reserved_at) ON call_intents TO bailiwick_definer;

-- The reaper closes calls of every tenant, so it has an owner of its own, to whom these two tables open.
CREATE POLICY call_intents_reaper ON call_intents TO bailiwick_reaper USING (true) WITH CHECK (true);
CREATE POLICY audit_logs_reaper_reads ON audit_logs FOR SELECT TO bailiwick_reaper USING (true);
CREATE POLICY audit_logs_reaper_adds ON audit_logs FOR INSERT TO bailiwick_reaper WITH CHECK (true);
GRANT SELECT, UPDATE, DELETE ON call_intents TO bailiwick_reaper;
GRANT SELECT, INSERT ON audit_logs TO bailiwick_reaper;
GRANT USAGE ON SEQUENCE audit_logs_id_seq TO bailiwick_reaper;

-- What calls under way hold of a day or month: a tenant's intents are few.
CREATE FUNCTION reserved_budget(p_tenant_id uuid, p_period text, p_starts date, p_user_id text) RETURNS numeric
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(sum(i.reserved_usd), 0) FROM call_intents i
    WHERE i.tenant_id = p_tenant_id AND i.reserved_usd > 0 AND p_user_id IN ('', i.user_id)
      AND date_trunc(p_period, i.reserved_at AT TIME ZONE 'UTC')::date = p_starts
$$;
COMMENT ON FUNCTION reserved_budget(uuid, text, date, text) IS 'What calls under way hold of a row of budget_ledger.';
GRANT EXECUTE ON FUNCTION reserved_budget(uuid, text, date, text) TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION reserve_budget(p_call_id uuid, p_usd numeric, p_binds_user boolean, p_idempotency_key text DEFAULT NULL)
RETURNS TABLE (outcome text, period text, is_user boolean, limit_usd numeric, spent_usd numeric, reserved_usd numeric, renewed_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_tenant_id uuid := current_tenant_id();
    v_user_id text := nullif(current_setting('app.current_user_id', true), '');
    v_at timestamptz;
    v_usd numeric(24, 12) := coalesce(p_usd, 0);
BEGIN
    IF v_tenant_id IS NULL OR v_user_id IS NULL THEN
        RAISE EXCEPTION 'a budget can only be reserved in its tenant''s and user''s context' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF p_usd < 0 OR p_usd = 'NaN' THEN
        RAISE EXCEPTION 'a reservation of % USD', p_usd USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What the reservation is of is settled by its first part.
    SELECT coalesce(i.reserved_at, now()) INTO v_at FROM call_intents i
    WHERE i.tenant_id = v_tenant_id AND i.call_id = p_call_id AND i.user_id = v_user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the call was already closed by another' USING ERRCODE = 'BW004';
    END IF;
    -- A repeated call spends nothing.
    IF EXISTS (SELECT FROM idempotency_keys k WHERE k.tenant_id = v_tenant_id AND k.key = p_idempotency_key) THEN
        RETURN QUERY SELECT 'repeated', NULL::text, NULL::boolean, NULL::numeric, NULL::numeric, NULL::numeric, NULL::timestamptz;
        RETURN;
    END IF;
    -- Locked until this transaction ends. Whoever else reserves or spends waits, and then sees what is held or spent here.
    INSERT INTO budget_ledger AS l (tenant_id, period, starts, user_id)
    SELECT v_tenant_id, a.period, a.starts, a.user_id FROM budget_accounts(v_at, v_user_id) AS a
    ORDER BY 2, 3, 4
    ON CONFLICT (tenant_id, period, starts, user_id) DO UPDATE SET spent_usd = l.spent_usd;
    RETURN QUERY
    SELECT CASE WHEN p_usd IS NULL OR account.spent_usd + v_usd > account.limit_usd THEN 'exhausted' ELSE 'held' END,
           account.period, account.is_user, account.limit_usd, account.spent_usd, account.reserved_usd,
           (account.starts + CASE account.period WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END) AT TIME ZONE 'UTC'
    FROM (
        SELECT limits.period, limits.is_user, limits.limit_usd, l.starts, l.spent_usd,
               reserved_budget(v_tenant_id, l.period, l.starts, l.user_id) AS reserved_usd
        FROM tenants t
        CROSS JOIN LATERAL budget_limits(t.monthly_budget_usd, t.settings) AS limits
        JOIN budget_accounts(v_at, v_user_id) AS a ON a.period = limits.period AND (a.user_id <> '') = limits.is_user
        JOIN budget_ledger l ON l.tenant_id = v_tenant_id AND l.period = a.period AND l.starts = a.starts AND l.user_id = a.user_id
        WHERE t.id = v_tenant_id AND limits.is_hard AND (p_binds_user OR NOT limits.is_user)
    ) AS account
    -- What has no price is let in while anything is left.
    WHERE CASE WHEN p_usd IS NULL THEN account.spent_usd >= account.limit_usd
               ELSE v_usd > 0 AND account.spent_usd + account.reserved_usd + v_usd > account.limit_usd END
    -- Exhausted before held, and what lasts longest.
    ORDER BY 1, 7 DESC, 3
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    UPDATE call_intents i SET reserved_usd = i.reserved_usd + v_usd, reserved_at = v_at
    WHERE i.tenant_id = v_tenant_id AND i.call_id = p_call_id;
    RETURN QUERY SELECT 'reserved', NULL::text, NULL::boolean, NULL::numeric, NULL::numeric, NULL::numeric, NULL::timestamptz;
END
$$;
COMMENT ON FUNCTION reserve_budget(uuid, numeric, boolean, text) IS
    'Holds money for a call that has an intent, before it spends any; NULL for what has no price. reserved, or why not: exhausted: what is spent leaves too little. held: calls under way hold the rest; repeated: the key was used before, so there is nothing to hold. It is given back with the intent, by whoever closes the call.';
GRANT EXECUTE ON FUNCTION reserve_budget(uuid, numeric, boolean, text) TO bailiwick_app;
ALTER FUNCTION reserve_budget(uuid, numeric, boolean, text) OWNER TO bailiwick_definer;

CREATE FUNCTION complete_call(
    p_call_id uuid, p_started_at timestamptz, p_has_intent boolean, p_action text, p_resource text, p_resource_id uuid,
    p_details jsonb, p_user_agent text, p_ip_address inet, p_duration_ms integer
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant_id uuid := current_tenant_id();
    v_user_id text := nullif(current_setting('app.current_user_id', true), '');
    v_id bigint;
BEGIN
    IF v_tenant_id IS NULL OR v_user_id IS NULL THEN
        RAISE EXCEPTION 'a call can only be completed in its tenant''s and user''s context'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF p_has_intent THEN
        DELETE FROM call_intents i WHERE i.tenant_id = v_tenant_id AND i.call_id = p_call_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the call was already closed by another' USING ERRCODE = 'BW004';
        END IF;
    END IF;
    -- The transaction's number first and the row's after it: a seal can then tell which rows may still come.
    PERFORM pg_current_xact_id();
    INSERT INTO audit_logs (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, resource_id,
                            details, outcome, success, user_agent, ip_address, duration_ms)
    VALUES (nextval('audit_logs_id_seq'), p_started_at, clock_timestamp(), v_tenant_id, v_user_id, p_call_id, p_action,
            p_resource, p_resource_id, coalesce(p_details, '{}'), 'ok', true, p_user_agent, p_ip_address, p_duration_ms)
    RETURNING id INTO v_id;
    RETURN v_id;
END
$$;
COMMENT ON FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) IS
    'Ends a call that succeeded: removes its intent if it has one and writes its audit row, for the tenant and user of the transaction. The last statement of its transaction; fails if the call is closed already.';
GRANT EXECUTE ON FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) TO bailiwick_app;
ALTER FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) OWNER TO bailiwick_definer;

CREATE FUNCTION close_calls(p_calls jsonb) RETURNS TABLE (call_id uuid, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_tenant_id uuid := current_tenant_id();
    v_written integer;
BEGIN
    IF v_tenant_id IS NULL THEN
        RAISE EXCEPTION 'calls can only be closed in their tenant''s context' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_current_xact_id();
    -- Intent first and row second, as everybody who closes calls.
    DELETE FROM call_intents i USING jsonb_to_recordset(p_calls) AS g (call_id uuid)
    WHERE i.tenant_id = v_tenant_id AND i.call_id = g.call_id;
    RETURN QUERY
    INSERT INTO audit_logs AS a (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, details,
                            outcome, success, error_message, user_agent, ip_address, duration_ms)
    SELECT nextval('audit_logs_id_seq'), g.started_at, clock_timestamp(), v_tenant_id, g.user_id, g.call_id, g.action,
           g.resource, coalesce(g.details, '{}'), g.outcome, false, g.error_message, g.user_agent, g.ip_address, g.duration_ms
    -- One order for all, so that two who close the same calls wait for each other rather than in a ring.
    FROM (
        SELECT * FROM jsonb_to_recordset(p_calls) AS c (
            call_id uuid, user_id text, started_at timestamptz, action text, resource text, details jsonb, outcome text,
            error_message text, user_agent text, ip_address inet, duration_ms integer)
        ORDER BY c.call_id
    ) AS g
    ON CONFLICT DO NOTHING
    RETURNING a.call_id, a.outcome;
    GET DIAGNOSTICS v_written = ROW_COUNT;
    IF v_written = jsonb_array_length(p_calls) THEN
        RETURN;
    END IF;
    -- Some were closed before. A statement of its own, for it must see what the one above waited for.
    RETURN QUERY
    SELECT a.call_id, a.outcome
    FROM jsonb_to_recordset(p_calls) AS g (call_id uuid, started_at timestamptz)
    JOIN audit_logs a ON a.tenant_id = v_tenant_id AND a."timestamp" = g.started_at AND a.call_id = g.call_id;
END
$$;
COMMENT ON FUNCTION close_calls(jsonb) IS
    'Ends calls of the transaction''s tenant that did not succeed: removes their intents and writes their rows, unless they are closed already. Returns how each of them has ended. May be repeated.';
GRANT EXECUTE ON FUNCTION close_calls(jsonb) TO bailiwick_app;
ALTER FUNCTION close_calls(jsonb) OWNER TO bailiwick_definer;

CREATE FUNCTION reap_calls(p_closed_since interval, p_longest_call interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    v_reaped integer;
BEGIN
    PERFORM pg_current_xact_id();
    WITH leases AS MATERIALIZED (
        SELECT DISTINCT lease FROM call_intents
    ), dead AS MATERIALIZED (
        -- Its server holds the lock while it lives.
        SELECT lease FROM leases WHERE pg_try_advisory_xact_lock(lease)
    ), picked AS (
        SELECT i.tenant_id, i.call_id FROM call_intents i
        WHERE i.lease IN (SELECT lease FROM dead)
           -- A living server's call is its own to close, maybe late, for its row may wait on disk. But an intent that landed after
           -- its call was closed is nobody's, and no call lives for ever.
           OR i.opened_at < clock_timestamp() - p_longest_call
           OR i.opened_at < clock_timestamp() - p_closed_since
              AND EXISTS (SELECT FROM audit_logs a
                          WHERE a.tenant_id = i.tenant_id AND a."timestamp" = i.started_at AND a.call_id = i.call_id)
        LIMIT 1000
        -- Whoever is just closing one may finish.
        FOR UPDATE SKIP LOCKED
    ), removed AS (
        DELETE FROM call_intents i USING picked p WHERE i.tenant_id = p.tenant_id AND i.call_id = p.call_id RETURNING i.*
    )
    INSERT INTO audit_logs (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, details,
                            outcome, success, error_message, user_agent, ip_address, duration_ms)
    SELECT nextval('audit_logs_id_seq'), started_at, clock_timestamp(), tenant_id, user_id, call_id, action, resource, '{}',
           'interrupted', false, 'interrupted', user_agent, ip_address,
           least(extract(epoch FROM clock_timestamp() - opened_at) * 1000, 2147483647)::integer
    FROM removed
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_reaped = ROW_COUNT;
    RETURN v_reaped;
END
$$;
COMMENT ON FUNCTION reap_calls(interval, interval) IS
    'Closes as interrupted the calls of all tenants whose server is gone, or that are older than any call can be; removes intents of that age whose call is closed. Returns how many rows it added.';

-- What the application may do: no bounds of its own choosing.
CREATE FUNCTION reap_calls() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT reap_calls('40 seconds', '10 minutes') $$;
COMMENT ON FUNCTION reap_calls() IS 'The reaper with its usual bounds; any server may run it.';
GRANT EXECUTE ON FUNCTION reap_calls() TO bailiwick_app;
ALTER FUNCTION reap_calls(interval, interval) OWNER TO bailiwick_reaper;
ALTER FUNCTION reap_calls() OWNER TO bailiwick_reaper;

-- ==== 000011_seals.up.sql ====

RESET ROLE;
SET LOCAL search_path = public;

-- Tamper evidence: a chain of Merkle roots over the audit rows of all tenants.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE audit_seals (
    seal_no          bigint PRIMARY KEY,
    first_id         bigint NOT NULL,
    last_id          bigint NOT NULL,
    row_count        bigint NOT NULL,
    latest_timestamp timestamptz,
    sealed_until     timestamptz NOT NULL,
    retained_from    timestamptz,
    merkle_root      bytea NOT NULL,
    previous_head    bytea NOT NULL,
    head             bytea NOT NULL,
    key_id           text,
    signature        bytea,
    leaves           bytea STORAGE EXTERNAL,
    CONSTRAINT audit_seals_hash_lengths
        CHECK (octet_length(merkle_root) = 32 AND octet_length(previous_head) = 32 AND octet_length(head) = 32)
);
COMMENT ON TABLE audit_seals IS 'Chain of Merkle roots over the audit rows of all tenants, in the order of their ids; holds ids, times and hashes only.';
COMMENT ON COLUMN audit_seals.first_id IS 'The seal covers the rows with ids from here to last_id; there are gaps where calls were rolled back.';
COMMENT ON COLUMN audit_seals.latest_timestamp IS 'The latest of its rows'' timestamps; NULL if it has no rows.';
COMMENT ON COLUMN audit_seals.sealed_until IS 'Every call closed before this moment is under this seal or an earlier one.';
COMMENT ON COLUMN audit_seals.retained_from IS 'Rows of calls that began before this moment have been retired by the operator; NULL if none have.';
COMMENT ON COLUMN audit_seals.head IS 'SHA-256 over all columns but signature and leaves; the next seal''s previous_head. Kept outside of the database too.';
COMMENT ON COLUMN audit_seals.key_id IS 'First 16 hexadecimal digits of the SHA-256 of the Ed25519 key that signed the head; NULL if none did.';
COMMENT ON COLUMN audit_seals.leaves IS 'For each row its id, its timestamp and the hash of the rest, so that the row that was changed can be named; NULL once all its rows are retired.';

CREATE FUNCTION audit_sealed_until() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT s.sealed_until FROM audit_seals s ORDER BY s.seal_no DESC LIMIT 1 $$;
COMMENT ON FUNCTION audit_sealed_until() IS
    'Until when the trail is sealed: what was closed before that moment is all there and cannot change unnoticed. NULL before the first seal.';
GRANT SELECT (seal_no, sealed_until) ON audit_seals TO bailiwick_definer;
GRANT EXECUTE ON FUNCTION audit_sealed_until() TO bailiwick_app;
ALTER FUNCTION audit_sealed_until() OWNER TO bailiwick_definer;

-- What waits for upkeep, of all tenants together: every server tells it, for many have no administrator's connection, and a timer that
-- died tells nothing. Its owner reads these columns and no others.
CREATE POLICY audit_logs_statistics ON audit_logs FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY audit_logs_default_statistics ON audit_logs_default FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY cost_tracking_default_statistics ON cost_tracking_default FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY tenant_usage_statistics ON tenant_usage FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY index_state_statistics ON index_state FOR SELECT TO bailiwick_statistics USING (true);
GRANT SELECT (id, completed_at) ON audit_logs TO bailiwick_statistics;
GRANT SELECT (id) ON audit_logs_default, cost_tracking_default TO bailiwick_statistics;
GRANT SELECT (tenant_id, next_chunk_no) ON tenant_usage TO bailiwick_statistics;
GRANT SELECT (tenant_id, merged_through) ON index_state TO bailiwick_statistics;
GRANT SELECT (seal_no, last_id) ON audit_seals TO bailiwick_statistics;

SET LOCAL ROLE bailiwick_statistics;
CREATE FUNCTION upkeep_backlog()
RETURNS TABLE (unsealed_s double precision, stray_audit_logs bigint, stray_costs bigint, unmerged_chunks bigint, months_ahead bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    -- However much waits, this reads little of it: rows are numbered as they are closed, so the oldest is among the first.
    SELECT coalesce(greatest(extract(epoch FROM clock_timestamp() - (
               SELECT min(u.completed_at) FROM (
                   SELECT a.completed_at FROM audit_logs a
                   WHERE a.id > coalesce((SELECT s.last_id FROM audit_seals s ORDER BY s.seal_no DESC LIMIT 1), 0)
                   ORDER BY a.id LIMIT 100) AS u)), 0), 0)::double precision,
           (SELECT count(*) FROM (SELECT d.id FROM audit_logs_default d LIMIT 10000) AS stray),
           (SELECT count(*) FROM (SELECT d.id FROM cost_tracking_default d LIMIT 10000) AS stray),
           (SELECT coalesce(sum(greatest(u.next_chunk_no - 1 - coalesce(i.merged_through, 0), 0)), 0)::bigint
            FROM tenant_usage u LEFT JOIN index_state i ON i.tenant_id = u.tenant_id),
           (SELECT count(*) FROM generate_series(1, 3) AS ahead,
                   LATERAL to_char((now() AT TIME ZONE 'UTC') + make_interval(months => ahead), 'YYYY_MM') AS month
            WHERE to_regclass('public.audit_logs_' || month) IS NOT NULL AND to_regclass('public.cost_tracking_' || month) IS NOT NULL)
$$;
COMMENT ON FUNCTION upkeep_backlog() IS
    'What waits for upkeep, of all tenants together: for how long the oldest audit row is not sealed, rows without a partition for their month (10000 stand for more), chunks that are not merged, and how many of the next three months are prepared.';
REVOKE EXECUTE ON FUNCTION upkeep_backlog() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION upkeep_backlog() TO bailiwick_app;
SET LOCAL ROLE bailiwick_owner;

-- ==== records ====

RESET ROLE;
SET LOCAL search_path = public;

DELETE FROM public.bailiwick_migrations;
INSERT INTO public.bailiwick_migrations (version, name, checksum) VALUES
    (1, 'foundation', '77fb8a0b4146f18a860bc2f65d319ea0ef0e65b60f6f0afdba095a9051cee34b'),
    (2, 'tenants', '03fe2c991da1bd7e753f7294f817d528dd75f9d9c6ea7e4bcc6de6a34dabc740'),
    (3, 'documents', '17c00209f93dcdae468320d5a04ab040791341decc021880fdee581108e7e13e'),
    (4, 'search', 'd970b1053036af879d40d2f589c551ad6f8e622675cfdc33152334dabeacc28b'),
    (5, 'audit', '825e2be4e36e15da028fa58541150380e4b43ab5c7f96209ce6307407e7d6a1a'),
    (6, 'costs', '78c0cd14431898e50d8ea9c8dcc796aeeb4b9ad281cfc2e295b1dde12d3587af'),
    (7, 'statistics', 'dbb69c445f35e0849823b2c6d5f59a88d73a1880fff5125a3e742102b25cd36c'),
    (8, 'hybrid_search', 'bb1ddc5bc6f82965f991486f479a69d56c20ff559ab642302979a196c9a99b94'),
    (9, 'demo_tenants', '72a56b076b82262049600bc50d860ed9eebfeca5bb9d8b49332a38a262956292'),
    (10, 'calls', '573db7c8d7e507f902e3f0f451f7548e7aa05292f4bca8910e5e49bec4e5c085'),
    (11, 'seals', 'b6fb8ea68f71347ad18644491b5d7967baaaa80d50d8d9762f153ae07ad2d3c3');
INSERT INTO public.schema_migrations (version, dirty) VALUES (11, false);

COMMIT;
