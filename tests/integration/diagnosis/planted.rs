//! Faults, each planted in a transaction that is rolled back. What a test cannot bring about in the server, it is told by a
//! temporary table of the view's name, which comes first for whoever asks without naming a schema.

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
    "definer_functions": "CREATE FUNCTION loose() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; REVOKE ALL ON FUNCTION loose() FROM PUBLIC";
    "definer_functions": "GRANT EXECUTE ON FUNCTION reap_calls(interval, interval) TO PUBLIC";
    "owning_roles": "ALTER ROLE bailiwick_owner LOGIN";
    "owning_roles": "GRANT bailiwick_statistics TO bailiwick_owner WITH INHERIT TRUE";
    "role_settings": "ALTER ROLE bailiwick_app SET app.current_tenant_id = '00000000-0000-0000-0000-000000000001'";
    "role_settings": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$";
    "disabled_triggers": "ALTER TABLE documents DISABLE TRIGGER USER";
    "unlogged_tables": "CREATE UNLOGGED TABLE passing (tenant_id uuid PRIMARY KEY)";
    "durability": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = 'off' WHERE name = 'fsync'";
    "durability": "SET LOCAL synchronous_commit = off";
    "extensions": "DROP EXTENSION pg_trgm CASCADE";
    "extensions": "CREATE TEMP TABLE pg_extension AS SELECT * FROM pg_catalog.pg_extension; UPDATE pg_temp.pg_extension SET extversion = '0.8.1' WHERE extname = 'vector'";
    "months_ahead": "DO $$ BEGIN EXECUTE format('ALTER TABLE audit_logs_%s RENAME TO audit_logs_x', to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY_MM')); END $$";
    "invalid_indexes": "SET LOCAL allow_system_table_mods = on; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_documents_embedding_pending'::regclass";
    "collations": "CREATE TEMP TABLE pg_database AS SELECT * FROM pg_catalog.pg_database; UPDATE pg_temp.pg_database SET datcollversion = 'another' WHERE datname = current_database()";
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
    "replication_slots": "CREATE TEMP TABLE pg_replication_slots AS SELECT 'gone' AS slot_name, 'lost' AS wal_status, false AS active, NULL::pg_lsn AS restart_lsn";
    "restore_remains": "CREATE TEMP TABLE pg_database AS SELECT * FROM pg_catalog.pg_database; UPDATE pg_temp.pg_database SET datname = 'bailiwick_restoring_' || encode(substr(sha256(convert_to(current_database()::text, 'UTF8')), 1, 4), 'hex') || '_1' WHERE datname = 'template1'";
    "vector_indexes": "CREATE TEMP TABLE tenant_usage AS SELECT id AS tenant_id, 9000 AS chunk_count FROM tenants WHERE slug = 'demo'; CREATE TEMP TABLE document_chunks AS SELECT u.tenant_id, 1 AS embedding FROM tenant_usage u, generate_series(1, 4001)";
    "postings_backlog": "CREATE TEMP TABLE fresh_postings AS SELECT id AS tenant_id FROM tenants, generate_series(1, 20000) WHERE slug = 'demo'";
    "waiting_alerts": "INSERT INTO budget_alerts (tenant_id, period, starts, level, limit_usd, spent_usd, raised_at) SELECT id, 'month', '2026-01-01', 'WARNING', 1, 1, now() - interval '2 hours' FROM tenants WHERE slug = 'demo'";
    "connections": "CREATE TEMP TABLE pg_stat_activity AS SELECT a.* FROM pg_catalog.pg_stat_activity a, generate_series(1, 10000) WHERE pid = pg_backend_pid()";
    "long_transactions": "CREATE TEMP TABLE pg_stat_activity AS SELECT a.* FROM pg_catalog.pg_stat_activity a WHERE pid = pg_backend_pid(); UPDATE pg_temp.pg_stat_activity SET pid = 1, xact_start = now() - interval '2 hours'";
    "autovacuum": "ALTER TABLE documents SET (autovacuum_enabled = false)";
    "autovacuum": "CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings; UPDATE pg_temp.pg_settings SET setting = 'off' WHERE name = 'autovacuum'";
    "dead_rows": "CREATE TEMP TABLE pg_stat_user_tables AS SELECT 'public' AS schemaname, 'documents' AS relname, 200000 AS n_dead_tup, 300000 AS n_live_tup";
    "cache_hits": "CREATE TEMP TABLE pg_stat_database AS SELECT * FROM pg_catalog.pg_stat_database WHERE datname = current_database(); UPDATE pg_temp.pg_stat_database SET blks_hit = 90000000, blks_read = 10000000";
    "unused_indexes": "CREATE TABLE bulk AS SELECT n FROM generate_series(1, 900000) AS n; CREATE INDEX idle ON bulk (n); CREATE TEMP TABLE pg_stat_database AS SELECT * FROM pg_catalog.pg_stat_database WHERE datname = current_database(); UPDATE pg_temp.pg_stat_database SET stats_reset = now() - interval '8 days', blks_hit = 0, blks_read = 0";
    "slow_statements": "CREATE TEMP TABLE pg_stat_statements AS SELECT '-- search/nearest' AS query, oid AS dbid, 20 AS calls, 101.0 AS mean_exec_time FROM pg_database WHERE datname = current_database()";
    "migrations": "DELETE FROM bailiwick_migrations; UPDATE schema_migrations SET version = version - 1";
    "migrations": "UPDATE schema_migrations SET dirty = true";
    "migrations": "UPDATE bailiwick_migrations SET checksum = repeat('0', length(checksum)) WHERE version = 1";
};
