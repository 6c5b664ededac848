//! The life of tenants: deleted, restored, purged, taken elsewhere.

mod damage;
mod ends;
mod purge;
mod quotas;
mod rows;
mod transfer;

use std::process::Output;

use tokio::process::Command;

use crate::harness::TestDatabase;

/// `bailiwick`, as an administrator runs it.
async fn bailiwick(database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env_remove("DATABASE_URL");
    command.output().await.unwrap()
}

/// What it printed, once it succeeded.
async fn told(database: &TestDatabase, arguments: &[&str]) -> String {
    let output = bailiwick(database, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What it said when it failed.
async fn refused(database: &TestDatabase, arguments: &[&str]) -> String {
    let output = bailiwick(database, arguments).await;
    assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
