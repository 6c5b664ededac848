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
