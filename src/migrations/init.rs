//! The whole schema as one file, for people who start from `psql`.

use std::fmt::Write as _;

use super::files::Migrations;
use super::name::Direction;
use super::state;

const HEADER: &str = "\
-- Bailiwick: the whole schema, at version {version}.
-- GENERATED from sql/migrations; do not edit. A test compares the two.
--
-- For a new, empty database, as its administrator:
--     psql -v ON_ERROR_STOP=1 -f sql/init.sql
-- with another number of dimensions than 1536:
--     PGOPTIONS='-c bailiwick.embedding_dimensions=768' psql -v ON_ERROR_STOP=1 -f sql/init.sql
--
-- All or nothing. It leaves the records of a migrated database, so that from here on
-- `bailiwick migrate up` (or golang-migrate) applies what later versions add.

BEGIN;

";

// Without this the first CREATE would fail too, but with a riddle.
const REFUSE_MIGRATED: &str = "
DO $$
BEGIN
    IF EXISTS (SELECT FROM public.schema_migrations) THEN
        RAISE EXCEPTION 'this database already has a schema, at version %', (SELECT max(version) FROM public.schema_migrations)
            USING HINT = 'Run `bailiwick migrate up` instead.';
    END IF;
END
$$;
";

// Each migration starts as under the runner: as the administrator, with this search path.
const START: &str = "RESET ROLE;\nSET LOCAL search_path = public;\n";

/// The text of `sql/init.sql`.
pub fn init_sql(migrations: &Migrations) -> String {
    let newest = migrations.newest();
    let mut sql = HEADER.replace("{version}", &newest.to_string());
    sql.push_str(state::CREATE);
    sql.push_str(REFUSE_MIGRATED);
    let mut records = Vec::new();
    for migration in migrations.iter() {
        let file = migration.file(Direction::Up);
        let text = migration.sql(Direction::Up).trim_end();
        // A file may leave its last semicolon out, and the next one's first statement must not run into it.
        let end = if text.ends_with(';') { "" } else { "\n;" };
        // Writing to a String cannot fail.
        let _ = write!(sql, "\n-- ==== {file} ====\n\n{START}\n{text}{end}\n");
        let (version, name) = (migration.version(), migration.name());
        // Nothing to escape: a name is of a-z, 0-9 and _.
        records.push(format!("    ({version}, '{name}', '{}')", migration.checksum()));
    }
    let _ = write!(
        sql,
        "\n-- ==== records ====\n\n{START}\n\
         DELETE FROM public.bailiwick_migrations;\n\
         INSERT INTO public.bailiwick_migrations (version, name, checksum) VALUES\n{};\n\
         INSERT INTO public.schema_migrations (version, dirty) VALUES ({newest}, false);\n\n\
         COMMIT;\n",
        records.join(",\n")
    );
    sql
}
