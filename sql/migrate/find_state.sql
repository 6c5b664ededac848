-- migrate/find_state: which of the two tables exist, and which this role may read; from the catalog, so that nothing fails.
WITH found AS (
    SELECT
        c.relname,
        has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relname IN ('schema_migrations', 'bailiwick_migrations')
)
SELECT
    EXISTS (SELECT FROM found WHERE relname = 'schema_migrations') AS version_exists,
    EXISTS (SELECT FROM found WHERE relname = 'schema_migrations' AND readable) AS version_readable,
    EXISTS (SELECT FROM found WHERE relname = 'bailiwick_migrations') AS history_exists,
    EXISTS (SELECT FROM found WHERE relname = 'bailiwick_migrations' AND readable) AS history_readable;
