//! Answers that are lost on the way: what is told is what happened.

use serde_json::Value;

use super::{backup, both, command, remains, world};
use crate::harness::{Fault, Proxy, TestDatabase, url};

/// The command over the proxy.
async fn over(proxy: &Proxy, database: &TestDatabase, arguments: &[&str]) -> std::process::Output {
    let mut command = command(database, arguments).await;
    command.env("BAILIWICK_ADMIN_DATABASE_URL", url(&proxy.config(database), "postgres"));
    command.output().await.unwrap()
}

#[tokio::test]
async fn a_restored_database_whose_taking_the_place_was_not_answered_is_told_right() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let proxy = Proxy::start().await;
    let newer = async |slug: &str| {
        database.execute(&format!("INSERT INTO tenants (slug, name) VALUES ('{slug}', 'Newer')")).await;
    };
    let is_there = async || database.value::<i64>("SELECT count(*) FROM tenants WHERE slug LIKE 'newer%'").await;

    newer("newer-1").await;
    proxy.arm_behind(Fault::CutBeforeCommit, "RENAME TO");
    let output = over(&proxy, &database, &["restore", "--replace", "--json", &file]).await;
    assert_eq!((proxy.struck(), output.status.code(), is_there().await), (1, Some(1), 1), "{}", both(&output));
    assert_eq!(remains(&database).await, [""; 0]);

    proxy.arm_behind(Fault::CutAfterCommit, "RENAME TO");
    let output = over(&proxy, &database, &["restore", "--replace", "--json", &file]).await;
    assert_eq!((proxy.struck(), output.status.code(), is_there().await), (2, Some(0), 0), "{}", both(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["restore"]["in_place"], remains(&database).await), (&true.into(), Vec::new()), "{told}");
}

#[tokio::test]
async fn a_tenant_whose_opening_was_not_answered_stays_and_that_is_told() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let proxy = Proxy::start().await;
    let arguments = ["restore", "--tenant", "demo", "--as", "again", file.as_str()];
    let statuses = "SELECT coalesce(string_agg(status, ','), '') FROM tenants WHERE slug = 'again'";

    proxy.arm_behind(Fault::CutBeforeCommit, "administration/end_import");
    let output = over(&proxy, &database, &arguments).await;
    assert_eq!((proxy.struck(), database.value::<String>(statuses).await), (1, String::new()), "{}", both(&output));

    proxy.arm_behind(Fault::CutAfterCommit, "administration/end_import");
    let output = over(&proxy, &database, &arguments).await;
    assert_eq!((proxy.struck(), database.value::<String>(statuses).await.as_str()), (2, "active"), "{}", both(&output));
    assert!(!output.status.success() && both(&output).contains("was restored already"), "{}", both(&output));
    assert_eq!(remains(&database).await, [""; 0]);
}
