-- migrate/read_history: what was applied, when, and from which text.
SELECT version, name, checksum, applied_at FROM public.bailiwick_migrations ORDER BY version;
