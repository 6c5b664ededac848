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
