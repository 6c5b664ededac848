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
