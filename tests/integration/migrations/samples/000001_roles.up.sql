-- Roles and a schema of their own.
CREATE ROLE {owner} NOLOGIN;
CREATE ROLE {app} LOGIN;
CREATE SCHEMA notes AUTHORIZATION {owner};
GRANT USAGE ON SCHEMA notes TO {app};
DO $$
BEGIN
    -- Under golang-migrate the history does not exist.
    IF to_regclass('public.bailiwick_migrations') IS NOT NULL THEN
        GRANT SELECT ON public.bailiwick_migrations TO {app};
    END IF;
END
$$;
GRANT SELECT ON public.schema_migrations TO {app};
