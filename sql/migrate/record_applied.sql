-- migrate/record_applied: a row left by a version that golang-migrate took down is replaced.
INSERT INTO public.bailiwick_migrations (version, name, checksum, duration_ms)
VALUES ($1::bigint, $2::text, $3::text, $4::integer)
ON CONFLICT (version) DO UPDATE SET
    name = excluded.name,
    checksum = excluded.checksum,
    applied_at = excluded.applied_at,
    duration_ms = excluded.duration_ms;
