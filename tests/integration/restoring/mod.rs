//! `bailiwick backup` and `restore`: all of it comes back, guarded as before; what is not as it was is found; what goes wrong leaves
//! everything as it was.

mod definitions;
mod files;
mod fresh;
mod interrupted;
mod lost;
mod oracle;
mod planted;
mod tenants;
mod whole;
mod world;

use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::{TestDatabase, data_dir, server};

/// `bailiwick` on the server of that database, as the operator runs it, with that server's own programs.
async fn command(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .args(arguments)
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_PG_BIN", server().await.bin_dir())
        .env("BAILIWICK_DATA_DIR", data_dir())
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_NO_EMBEDDINGS", "true")
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    command
}

async fn bailiwick(database: &TestDatabase, arguments: &[&str]) -> Output {
    command(database, arguments).await.output().await.unwrap()
}

/// What a command printed that must succeed.
async fn told(database: &TestDatabase, arguments: &[&str]) -> Value {
    let output = bailiwick(database, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", both(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command said that must fail.
async fn refused(database: &TestDatabase, arguments: &[&str]) -> String {
    let output = bailiwick(database, arguments).await;
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", both(&output));
    both(&output)
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A backup of a database, in that folder.
async fn backup(database: &TestDatabase, folder: &Path) -> String {
    let file = folder.join("bailiwick.backup").display().to_string();
    told(database, &["backup", "--json", &file]).await;
    file
}

/// Databases that a restore of that one has left.
async fn remains(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT d.datname::text FROM pg_database d
               WHERE d.datname ~ ('^bailiwick_(restoring|replaced)_' || encode(substr(sha256(convert_to($1, 'UTF8')), 1, 4), 'hex'))";
    let postgres = bailiwick::db::admin::connect(&server().await.config("postgres", "postgres")).await.unwrap();
    postgres.query(sql, &[&database.name()]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
