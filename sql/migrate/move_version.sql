-- migrate/move_version: the single row as golang-migrate leaves it: the version, or no row before the first.
WITH gone AS (
    DELETE FROM public.schema_migrations WHERE version IS DISTINCT FROM $1::bigint
)
INSERT INTO public.schema_migrations (version, dirty)
SELECT $1::bigint, false WHERE $1::bigint IS NOT NULL;
