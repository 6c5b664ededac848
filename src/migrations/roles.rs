//! What migrations find made where their role may make neither roles nor extensions, for a person to run.

use super::files::Migrations;
use super::name::Direction;

/// Ends that part of the first migration.
const END: &str = "-- So far `bailiwick migrate --print-roles`";

const HEADER: &str = "\
-- Extensions, roles and memberships for bailiwick, as `bailiwick migrate up` would make them.
--
-- For whoever may make roles and extensions, in the database that is to hold bailiwick. A managed service's administrator
-- will do: a role with CREATEROLE and CREATEDB that owns the database and has made {admin}; no superuser is needed where
-- the service lets that role make the extension vector.
--     bailiwick migrate --print-roles | psql -v ON_ERROR_STOP=1 \"$SERVICE_ADMINISTRATOR_URL\"
-- Then {admin} does the rest by `bailiwick migrate up`: it needs neither SUPERUSER nor CREATEROLE.
-- It may be run again. All or nothing.

BEGIN;

";

const FOOTER: &str = "
-- Who migrates and administrates owns the database, and can be the schema's owner.
GRANT bailiwick_owner TO {admin} WITH SET TRUE, INHERIT TRUE;
DO $owner$
DECLARE
    v_owner oid := (SELECT datdba FROM pg_database WHERE datname = current_database());
    v_is_lent boolean := NOT pg_has_role(current_user, {admin_literal}, 'SET');
BEGIN
    IF pg_has_role({admin_literal}, v_owner, 'USAGE') THEN
        RETURN;
    END IF;
    -- Who gives a database away must be able to be its new owner. Who made that role can be, for as long as this takes.
    IF v_is_lent THEN
        EXECUTE format('GRANT %I TO CURRENT_USER WITH SET TRUE, INHERIT FALSE', {admin_literal});
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), {admin_literal});
    IF v_is_lent THEN
        EXECUTE format('REVOKE %I FROM CURRENT_USER', {admin_literal});
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the database cannot be given to %: %', {admin_literal}, SQLERRM
            USING HINT = format('Let its owner (%s), if that role has CREATEDB and has made %I, or a superuser run this; or have it done before: ALTER DATABASE %I OWNER TO %I.',
                                v_owner::regrole, {admin_literal}, current_database(), {admin_literal});
END
$owner$;

COMMIT;

-- Afterwards, whoever may: a password for the role that the server connects as, and for those of upkeep and backups
-- if they are used. bailiwick_backup needs BYPASSRLS, which some services only grant on request.
--     ALTER ROLE bailiwick_app PASSWORD 'choose-one';
-- And for `bailiwick doctor`, which is otherwise not told what others' sessions and statements do:
--     GRANT pg_monitor TO {admin}, bailiwick_maintenance;
";

/// The SQL by which `admin` gets everything that the migrations cannot do themselves without power over roles.
#[must_use]
pub fn roles_sql(migrations: &Migrations, admin: &str) -> String {
    let first = migrations.get(1).map(|first| first.sql(Direction::Up)).unwrap_or_default();
    let shared = first.split_once(END).map_or(first, |(shared, _)| shared);
    // What stands before the first statement is about the migration.
    let statements = shared.find("CREATE EXTENSION").map_or(shared, |begin| &shared[begin..]);
    let identifier = format!("\"{}\"", admin.replace('"', "\"\""));
    let literal = format!("'{}'", admin.replace('\'', "''"));
    let named = |text: &str| text.replace("{admin_literal}", &literal).replace("{admin}", &identifier);
    format!("{}{}\n{}", named(HEADER), statements.trim_end(), named(FOOTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_first_migration_begins_with_and_quotes_the_administrator() {
        let sql = roles_sql(&Migrations::embedded().unwrap(), "o'brien \"the\" admin");
        for part in [
            "CREATE EXTENSION IF NOT EXISTS vector",
            "'LOGIN BYPASSRLS'",
            "$memberships$;",
            "'o''brien \"the\" admin'",
            "TO \"o'brien \"\"the\"\" admin\" WITH",
        ] {
            assert!(sql.contains(part), "{part}: {sql}");
        }
        assert!(!sql.contains("CREATE FUNCTION") && !sql.contains("DO $database$"), "{sql}");
    }
}
