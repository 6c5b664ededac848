//! Every statement of the program, prepared as the role that runs it: a change of a type shows as a line of the snapshot.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tokio_postgres::types::Type;

use crate::harness::TestDatabase;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Files below a folder of the repository, with this ending, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A query's name is its path below `sql/queries`.
fn name(path: &Path) -> String {
    let path = path.strip_prefix(root().join("sql/queries")).unwrap();
    path.with_extension("").to_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_statement_prepares_as_its_role_with_the_types_it_had() {
    let database = TestDatabase::create().await;
    let (app, admin) = (database.connect_app().await, database.connect_admin().await);
    // Where it is, doctor asks it.
    database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    let mut snapshot = String::new();
    for path in files("sql/queries", "sql") {
        let (name, sql) = (name(&path), std::fs::read_to_string(&path).unwrap());
        // Administration, seals and the demo's evidence are an administrator's; everything else is the application's.
        let is_admins =
            ["administration/", "audit/", "backup/", "diagnosis/"].iter().any(|noun| name.starts_with(noun))
                || ["demo/embedded", "demo/owners", "demo/trail"].contains(&name.as_str());
        let client = if is_admins { &admin } else { &app };
        let statement = client.prepare(&sql).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let parameters: Vec<_> = statement.params().iter().map(|ty| ty.name()).collect();
        writeln!(snapshot, "{name}({})", parameters.join(", ")).unwrap();
        for column in statement.columns() {
            // The driver would ask the server by a statement that it prepares by name, and leave it on a pooler's connection.
            let is_known = Type::from_oid(column.type_().oid()).is_some();
            assert!(is_known || is_admins, "{name}: {} is of a type that the driver does not know", column.name());
            writeln!(snapshot, "    {} {}", column.name(), column.type_().name()).unwrap();
        }
    }
    insta::assert_snapshot!(snapshot);
}

#[test]
fn every_statement_begins_with_its_name() {
    for path in files("sql/queries", "sql") {
        let sql = std::fs::read_to_string(&path).unwrap();
        assert_eq!(sql.lines().next(), Some(format!("-- {}", name(&path)).as_str()));
    }
}

#[test]
fn every_statement_is_used() {
    let sources: String = files("src", "rs").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for path in files("sql/queries", "sql") {
        let name = name(&path);
        assert!(sources.contains(&format!("sql/queries/{name}.sql\"")), "{name} is used nowhere");
    }
}
