-- migrate/read_version: golang-migrate keeps one row at most; a second one is asked for to notice that it does not.
SELECT version, dirty FROM public.schema_migrations ORDER BY version DESC LIMIT 2;
