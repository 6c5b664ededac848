//! Small migrations that do what the real ones do: roles, SET LOCAL ROLE, settings, function bodies.

use bailiwick::migrations::{Applied, MigrationError, Migrations, Progress, RunOptions, Runner};
use tokio_postgres::Client;

use super::database::Database;

pub type Files = Vec<(String, String)>;

/// Three migrations for one database; roles are the cluster's, so their names hold the database's.
pub fn files(database: &Database) -> Files {
    let name = &database.name;
    let text = |text: &str| text.replace("{owner}", &format!("{name}_owner")).replace("{app}", &format!("{name}_app"));
    [
        ("000001_roles.up.sql", include_str!("samples/000001_roles.up.sql")),
        ("000001_roles.down.sql", include_str!("samples/000001_roles.down.sql")),
        ("000002_notes.up.sql", include_str!("samples/000002_notes.up.sql")),
        ("000002_notes.down.sql", include_str!("samples/000002_notes.down.sql")),
        ("000003_search.up.sql", include_str!("samples/000003_search.up.sql")),
        ("000003_search.down.sql", include_str!("samples/000003_search.down.sql")),
    ]
    .map(|(file, sql)| (file.to_owned(), text(sql)))
    .to_vec()
}

/// The samples and one more migration, `000004_more`.
pub fn with_more(database: &Database, up: &str) -> Migrations {
    let mut files = files(database);
    files.push(("000004_more.up.sql".into(), up.into()));
    files.push(("000004_more.down.sql".into(), "DROP TABLE public.more;".into()));
    list(files)
}

/// The samples as a list.
pub fn migrations(database: &Database) -> Migrations {
    list(files(database))
}

pub fn list(files: Files) -> Migrations {
    Migrations::from_files(files).unwrap()
}

pub async fn up(client: &mut Client, migrations: &Migrations) -> Result<Vec<Applied>, MigrationError> {
    Runner::new(migrations, RunOptions::default()).up(client, None, quiet).await
}

pub async fn down(client: &mut Client, migrations: &Migrations, count: usize) -> Result<Vec<Applied>, MigrationError> {
    Runner::new(migrations, RunOptions::default()).down(client, count, quiet).await
}

pub fn quiet(_: Progress<'_>) {}

/// Everything the catalog says about the database's own objects, a line each.
pub async fn catalog(client: &Client) -> String {
    let rows = client.query(include_str!("catalog.sql"), &[]).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get("line")).collect();
    lines.join("\n")
}

/// The text of the only value of a query.
pub async fn value(client: &Client, sql: &str) -> Option<String> {
    client.query_one(sql, &[]).await.unwrap().get(0)
}
