//! Faults, each planted in a transaction that is rolled back; those of a server as a whole are planted in `server`. What a test cannot bring
//! about anywhere (an archive's hours, the age of transaction ids) it is told by a temporary table of the view's name, which comes first for
//! whoever asks without naming a schema.

/// A fault and the check that must find it.
pub struct Fault {
    pub plant: &'static str,
    pub found_by: &'static str,
}

macro_rules! faults {
    ($($found_by:literal: $plant:literal;)*) => {
        &[$(Fault { plant: $plant, found_by: $found_by }),*]
    };
}

pub const FAULTS: &[Fault] = faults! {
    "forced_isolation": "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY";
    "forced_isolation": "ALTER TABLE audit_logs_default DISABLE ROW LEVEL SECURITY";
    "isolating_policy": "ALTER POLICY tenant_isolation_policy ON documents WITH CHECK (true)";
    "isolating_policy": "DROP POLICY tenant_isolation_policy ON tenants";
    "foreign_policies": "CREATE POLICY anybody ON documents USING (current_setting('app.current_user_role', true) = 'admin')";
    "foreign_policies": "CREATE POLICY anybody ON document_chunks_p00 USING (true)";
    "open_partitions": "GRANT SELECT ON document_chunks_p00 TO bailiwick_app";
    "tenants_in_keys": "CREATE UNIQUE INDEX oracle ON documents (source)";
    "tenants_in_keys": "CREATE TABLE linked (tenant_id uuid, id uuid UNIQUE, PRIMARY KEY (tenant_id, id)); ALTER TABLE idempotency_keys ADD COLUMN linked_id uuid REFERENCES linked (id)";
    "open_views": "CREATE VIEW all_documents AS SELECT * FROM documents";
    "open_views": "GRANT SELECT ON tenant_statistics TO bailiwick_app";
    "application_powers": "ALTER ROLE bailiwick_app BYPASSRLS";
    "application_powers": "ALTER ROLE bailiwick_app SUPERUSER";
    "application_powers": "GRANT bailiwick_owner TO bailiwick_app";
    "application_powers": "GRANT CREATE ON SCHEMA public TO bailiwick_app";
    "application_powers": "GRANT UPDATE (outcome) ON audit_logs TO bailiwick_app";
    "application_access": "ALTER ROLE bailiwick_app NOLOGIN";
    "application_access": "ALTER ROLE bailiwick_app CONNECTION LIMIT 0";
    "application_access": "ALTER ROLE bailiwick_app VALID UNTIL '2020-01-01'";
    "application_access": "DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC, bailiwick_app', current_database()); END $$";
    "application_access": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$";
    "application_access": "SET LOCAL default_transaction_read_only = on";
    "grants": "GRANT TRUNCATE ON documents, document_chunks TO bailiwick_app";
    "grants": "GRANT UPDATE, DELETE ON budget_ledger, cost_tracking, audit_seals TO bailiwick_app";
    "grants": "GRANT UPDATE (slug) ON tenants TO bailiwick_app";
    "grants": "GRANT SELECT ON documents TO PUBLIC";
    "grants": "GRANT SELECT ON documents TO bailiwick_app WITH GRANT OPTION";
    "grants": "GRANT DELETE ON documents TO bailiwick_backup";
    "grants": "REVOKE SELECT ON documents FROM bailiwick_app";
    "grants": "REVOKE EXECUTE ON FUNCTION reap_calls() FROM bailiwick_app";
    "grants": "REVOKE USAGE ON SCHEMA public FROM PUBLIC, bailiwick_app";
    "schema_objects": "DROP TRIGGER documents_10_count_new ON documents";
    "schema_objects": "CREATE TRIGGER theirs BEFORE UPDATE ON documents FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()";
    "schema_objects": "ALTER TABLE documents DROP CONSTRAINT documents_title_length";
    "schema_objects": "ALTER TABLE documents ALTER COLUMN language DROP NOT NULL";
    "schema_objects": "ALTER TABLE documents ALTER COLUMN metadata DROP DEFAULT";
    "schema_objects": "DROP INDEX idx_documents_tenant_created, idx_documents_tenant_updated, idx_documents_tenant_title, idx_documents_source, idx_documents_embedding_pending";
    "schema_objects": "DROP POLICY api_keys_identity_use ON api_keys";
    "schema_objects": "ALTER FUNCTION reap_calls(interval, interval) SECURITY INVOKER";
    "schema_objects": "CREATE OR REPLACE FUNCTION current_tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT NULL::uuid'";
    "schema_objects": "ALTER TABLE document_chunks DETACH PARTITION document_chunks_p00";
    "schema_objects": "DROP TABLE idempotency_keys CASCADE";
    "schema_objects": "ALTER TABLE documents OWNER TO bailiwick_definer";
    "definer_functions": "CREATE FUNCTION loose() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; REVOKE ALL ON FUNCTION loose() FROM PUBLIC";
    "definer_functions": "GRANT EXECUTE ON FUNCTION reap_calls(interval, interval) TO PUBLIC";
    "owning_roles": "ALTER ROLE bailiwick_owner LOGIN";
    "owning_roles": "GRANT bailiwick_statistics TO bailiwick_owner WITH INHERIT TRUE";
    "role_settings": "ALTER ROLE bailiwick_app SET app.current_tenant_id = '00000000-0000-0000-0000-000000000001'";
    "role_settings": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$";
    "role_settings": "ALTER ROLE bailiwick_app SET default_transaction_read_only = on";
    "role_settings": "ALTER ROLE bailiwick_app SET search_path = elsewhere";
    "disabled_triggers": "ALTER TABLE documents DISABLE TRIGGER USER";
    "unlogged_tables": "CREATE UNLOGGED TABLE passing (tenant_id uuid PRIMARY KEY)";
    "durability": "SET LOCAL synchronous_commit = off";
    "extensions": "DROP EXTENSION pg_trgm CASCADE";
    "extensions": "CREATE TEMP TABLE pg_extension AS SELECT * FROM pg_catalog.pg_extension; UPDATE pg_temp.pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'";
    "months_ahead": "DO $$ BEGIN EXECUTE format('ALTER TABLE audit_logs_%s RENAME TO audit_logs_x', to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')); END $$";
    "invalid_indexes": "SET LOCAL allow_system_table_mods = on; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_documents_embedding_pending'::regclass";
    "collations": "UPDATE pg_catalog.pg_database SET datcollversion = 'another' WHERE datname = current_database()";
    "transaction_ids": "CREATE TEMP TABLE pg_database AS SELECT * FROM pg_catalog.pg_database; UPDATE pg_temp.pg_database SET datfrozenxid = ((txid_current() + 4294967296 - 1100000000) % 4294967296)::text::xid WHERE datname = current_database()";
    "cost_sums": "UPDATE cost_sums SET input_cost = input_cost + 0.000000000001 WHERE ctid = (SELECT min(ctid) FROM cost_sums WHERE grain = 'day')";
    "cost_sums": "UPDATE cost_sums SET operations = operations + 1 WHERE ctid = (SELECT min(ctid) FROM cost_sums WHERE grain = 'hour')";
    "cost_sums": "DELETE FROM cost_sums WHERE ctid = (SELECT min(ctid) FROM cost_sums WHERE grain = 'user day')";
    "cost_sums": "TRUNCATE cost_sums";
    "cost_sums": "UPDATE cost_kinds SET model_name = 'another'";
    "cost_sums": "SET LOCAL session_replication_role = replica; UPDATE cost_tracking SET output_tokens = output_tokens + 1";
    "open_calls": "INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, opened_at, lease) SELECT id, gen_random_uuid(), 'u', 'a', now(), now() - interval '1 hour', 1 FROM tenants WHERE slug = 'demo'";
    "archiving": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = 'on' WHERE name = 'archive_mode'";
    "archiving": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' ELSE 'cp %p /archive/%f' END WHERE name IN ('archive_mode', 'archive_command'); CREATE TEMP TABLE pg_stat_archiver AS SELECT * FROM pg_catalog.pg_stat_archiver; UPDATE pg_temp.pg_stat_archiver SET last_failed_wal = '000000010000000000000007', last_failed_time = now(), last_archived_time = now() - interval '1 hour'";
    "archiving": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' WHEN 'archive_timeout' THEN '-1000000' ELSE '/archive-wal %p %f' END WHERE name IN ('archive_mode', 'archive_command', 'archive_timeout')";
    "archive_settings": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' WHEN 'archive_timeout' THEN '0' ELSE '/archive-wal %p %f' END WHERE name IN ('archive_mode', 'archive_command', 'archive_timeout')";
    "archive_settings": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' WHEN 'archive_timeout' THEN '300' ELSE 'cp %p /archive/%f' END WHERE name IN ('archive_mode', 'archive_command', 'archive_timeout')";
    "archive_lag": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' WHEN 'archive_timeout' THEN '300' WHEN 'wal_segment_size' THEN '-300000000000' ELSE '/archive-wal %p %f' END WHERE name IN ('archive_mode', 'archive_command', 'archive_timeout', 'wal_segment_size'); CREATE TEMP TABLE pg_stat_archiver AS SELECT * FROM pg_catalog.pg_stat_archiver; UPDATE pg_temp.pg_stat_archiver SET last_archived_wal = '000000010000000000000000', last_archived_time = now()";
    "base_backups": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' WHEN 'archive_timeout' THEN '300' ELSE '/archive-wal %p %f' END WHERE name IN ('archive_mode', 'archive_command', 'archive_timeout')";
    "vector_indexes": "SET LOCAL session_replication_role = replica; INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding) SELECT t.id, 1000000 + n, gen_random_uuid(), 0, 0, 1, 1, '[1,0,0,0]' FROM tenants t, generate_series(1, 2000) AS n WHERE t.slug = 'demo'; UPDATE tenant_usage SET chunk_count = 2000 WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'demo')";
    "postings_backlog": "SET LOCAL session_replication_role = replica; INSERT INTO fresh_postings (tenant_id, chunk_no, ordinal, length, terms) SELECT t.id, n, 0, 1, 'a:1' FROM tenants t, generate_series(1, 20000) AS n WHERE t.slug = 'demo'";
    "waiting_alerts": "INSERT INTO budget_alerts (tenant_id, period, starts, level, limit_usd, spent_usd, raised_at) SELECT id, 'month', '2026-01-01', 'WARNING', 1, 1, now() - interval '2 hours' FROM tenants WHERE slug = 'demo'";
    "autovacuum": "ALTER TABLE documents SET (autovacuum_enabled = false)";
    "autovacuum": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = 'off' WHERE name = 'autovacuum'";
    "cache_hits": "CREATE TEMP TABLE pg_stat_database AS SELECT * FROM pg_catalog.pg_stat_database WHERE datname = current_database(); UPDATE pg_temp.pg_stat_database SET blks_hit = 90000000, blks_read = 10000000";
    "huge_pages": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings WHERE name <> 'huge_pages_status'; INSERT INTO pg_temp.pg_settings (name, setting) VALUES ('huge_pages_status', 'off'); SET LOCAL allow_system_table_mods = on; CREATE INDEX hnsw_planted ON tenants (slug); UPDATE pg_class SET relpages = 40000 WHERE relname = 'hnsw_planted'";
    "migrations": "DELETE FROM bailiwick_migrations; UPDATE schema_migrations SET version = version - 1";
    "migrations": "UPDATE schema_migrations SET dirty = true";
    "migrations": "UPDATE bailiwick_migrations SET checksum = repeat('0', length(checksum)) WHERE version = 1";
};
