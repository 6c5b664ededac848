//! Slow statements are those that somebody waits for.

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio_postgres::Client;

use super::{examined, found};
use crate::harness::TestDatabase;

/// Counted from so many runs of over 100 ms on.
const TIMES: usize = 20;

async fn run(client: &Client, sql: &str) {
    for _ in 0..TIMES {
        client.simple_query(sql).await.unwrap();
    }
}

async fn as_application(database: &TestDatabase, sql: &str) {
    run(&database.connect_app().await, sql).await;
}

async fn as_operator(database: &TestDatabase, sql: &str) {
    run(&database.connect_admin().await, sql).await;
}

async fn copied(database: &TestDatabase, sql: &str) {
    let client = database.connect_admin().await;
    for _ in 0..TIMES {
        let rows = client.copy_out(sql).await.unwrap();
        assert_eq!(rows.count().await, 1);
    }
}

#[tokio::test]
async fn what_somebody_waits_for_is_told_and_backups_utilities_and_checks_are_not() {
    let (database, client) = examined().await;
    tokio::join!(
        as_application(&database, "-- search/nearest\nSELECT pg_sleep(0.11)"),
        as_application(&database, "SELECT 1, pg_sleep(0.11)"),
        as_operator(&database, "-- diagnosis/cost_sums\nSELECT 2, pg_sleep(0.11)"),
        as_operator(&database, "-- backup/rows\nSELECT 3, 3, pg_sleep(0.11)"),
        copied(&database, "COPY (SELECT pg_sleep(0.11)) TO STDOUT"),
        as_operator(&database, "SELECT 4, 4, 4, pg_sleep(0.11)"),
    );
    let told = async || {
        let findings = found(&client).await.into_iter();
        let mut subjects: Vec<_> = findings.map(|finding| (finding.check, finding.subject)).collect();
        subjects.sort();
        subjects
    };
    let slow = |subject: &str| ("slow_statements", subject.to_owned());
    // From 18 on PostgreSQL keeps a statement without the comment before it.
    let keeps_names: bool = database.value("SELECT current_setting('server_version_num')::integer < 180000").await;
    let named = if keeps_names { "search/nearest" } else { "SELECT pg_sleep($1)" };
    let wanted = [slow("SELECT $1, pg_sleep($2)"), slow(named)];
    assert_eq!(told().await, wanted);
    // Wherever it was installed.
    client
        .batch_execute("CREATE SCHEMA elsewhere; ALTER EXTENSION pg_stat_statements SET SCHEMA elsewhere")
        .await
        .unwrap();
    assert_eq!(told().await, wanted);
    client.batch_execute("DROP EXTENSION pg_stat_statements").await.unwrap();
    assert_eq!(told().await, [("slow_statements", "pg_stat_statements".to_owned())]);
}

/// Somebody who holds a lock keeps one check from being made, and neither the others nor whoever asks.
#[tokio::test]
async fn a_lock_keeps_one_check_from_being_made_and_no_other() {
    let (database, client) = examined().await;
    let holders = join_all(["budget_alerts", "call_intents"].map(async |table| {
        let holder = database.connect_admin().await;
        holder.batch_execute(&format!("BEGIN; LOCK TABLE {table}")).await.unwrap();
        holder
    }))
    .await;
    client.batch_execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY").await.unwrap();
    let examined = tokio::time::timeout(std::time::Duration::from_secs(60), found(&client)).await;
    let findings = examined.expect("it waits for nobody for long");
    let told: Vec<_> =
        findings.iter().map(|finding| (finding.check, finding.detail.starts_with("could not look"))).collect();
    // To print a policy takes its table's lock.
    let waited = [("isolating_policy", true), ("open_calls", true), ("waiting_alerts", true)];
    assert_eq!(told, [&[("forced_isolation", false)][..], &waited].concat(), "{findings:?}");
    assert!(findings[1].remedy.contains("pg_locks"), "{findings:?}");
    drop(holders);
}
