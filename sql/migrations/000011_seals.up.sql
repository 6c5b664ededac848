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
