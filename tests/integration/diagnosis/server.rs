//! Faults of a server as a whole, planted for real in one of a test's own; those that take hours, by its clock.

use std::collections::BTreeSet;

use bailiwick::db::admin;
use bailiwick::diagnosis::{self, Finding, Surroundings};
use bailiwick::migrations::{Migrations, RunOptions, Runner};
use futures_util::future::join_all;
use tokio_postgres::Client;

use crate::harness::{Lacking, clock_of, libfaketime, server, skip};
use crate::reach::Cluster;

/// Found on a server that was set up badly and is used badly.
pub const AT_ONCE: [&str; 5] = ["durability", "connections", "replication_slots", "restore_remains", "dead_rows"];
/// Found when time has gone by.
pub const IN_TIME: [&str; 3] = ["long_transactions", "prepared_transactions", "unused_indexes"];

const SETTINGS: &str = "max_connections = 40\nreserved_connections = 5\nmax_prepared_transactions = 4\nmax_slot_wal_keep_size = '1MB'\n\
    max_wal_size = '64MB'\nmin_wal_size = '32MB'\nautovacuum_naptime = '1d'\nfsync = ";

async fn migrated(cluster: &Cluster) -> Client {
    cluster.connect("postgres").await.batch_execute("CREATE DATABASE bw").await.unwrap();
    let mut client = cluster.connect("bw").await;
    let options = RunOptions { embedding_dimensions: Some(4), ..RunOptions::default() };
    Runner::new(&Migrations::embedded().unwrap(), options).up(&mut client, None, |_| ()).await.unwrap();
    client
}

async fn found(client: &Client) -> Vec<Finding> {
    let mut findings = diagnosis::examine(client, &Surroundings::default()).await.unwrap().findings;
    findings.retain(|finding| finding.check != "server_version");
    findings
}

/// The checks that found something, and whether they could look.
fn told(findings: &[Finding]) -> BTreeSet<(&'static str, bool)> {
    findings.iter().map(|finding| (finding.check, !finding.detail.starts_with("could not look"))).collect()
}

#[tokio::test]
async fn faults_of_a_server_are_found_and_what_cannot_be_looked_at_hides_no_other() {
    let cluster = Cluster::create(server().await.bin_dir(), &format!("{SETTINGS}off\n")).await;
    cluster.start();
    let client = migrated(&cluster).await;
    // Installed, and not preloaded.
    client.batch_execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
    let findings = found(&client).await;
    assert_eq!(told(&findings), BTreeSet::from([("durability", true), ("slow_statements", false)]), "{findings:?}");
    let blind = findings.iter().find(|finding| finding.check == "slow_statements").unwrap();
    assert!(blind.detail.contains("shared_preload_libraries"), "{blind:?}");

    // As the program's own user sees it, who asks for everything: nothing of it is a warning in the server's log.
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("doctor").env("BAILIWICK_ADMIN_DATABASE_URL", format!("postgresql://postgres@{}/bw", cluster.host()));
    let output = command.env("BAILIWICK_NO_EMBEDDINGS", "true").output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!cluster.log().contains("WARNING"), "{}", cluster.log());

    client
        .batch_execute(
            "CREATE TABLE public.passing AS SELECT n FROM generate_series(1, 120000) AS n; DELETE FROM public.passing; SELECT pg_stat_force_next_flush()",
        )
        .await
        .unwrap();
    let remains = "SELECT 'bailiwick_restoring_' || encode(substr(sha256(convert_to(current_database()::text, 'UTF8')), 1, 4), 'hex') || '_1'";
    let remains: String = client.query_one(remains, &[]).await.unwrap().get(0);
    client.batch_execute(&format!("CREATE DATABASE {remains}")).await.unwrap();
    // A slot that nobody reads, and that lost what it would have read.
    client.query("SELECT pg_create_physical_replication_slot('left', true)", &[]).await.unwrap();
    for _ in 0..8 {
        client.batch_execute("SELECT pg_logical_emit_message(false, 'bw', 'x')").await.unwrap();
        client.batch_execute("SELECT pg_switch_wal()").await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
    }
    // Nine tenths of 40 without the 3 of superusers and the 5 that are reserved; of 37 they are not.
    let crowd = join_all((0..29).map(|_| cluster.connect("bw"))).await;
    let wanted = AT_ONCE.map(|check| (check, true));
    for role in ["NONE", "bailiwick_maintenance"] {
        client.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
        let findings = found(&client).await;
        let told = told(&findings);
        assert!(wanted.iter().all(|check| told.contains(check)), "{role}: {findings:?}");
        assert_eq!(told.contains(&("long_transactions", false)), role != "NONE", "{role}: {findings:?}");
    }
    drop(crowd);
}

#[tokio::test]
async fn what_goes_on_for_too_long_is_found() {
    let Some(library) = libfaketime() else {
        return skip(Lacking::Faketime, "there is no libfaketime on this machine");
    };
    let cluster = Cluster::create(server().await.bin_dir(), &format!("{SETTINGS}on\n")).await;
    let clock = cluster.file("clock", "+0s\n");
    cluster.start_with(|command| {
        command.envs(clock_of(&library, &clock));
    });
    let client = migrated(&cluster).await;
    // Large, and nobody asks them: one of somebody's own, and one of the migrations.
    client
        .batch_execute(
            "CREATE TABLE passing AS SELECT n FROM generate_series(1, 900000) AS n; CREATE INDEX idle ON passing (n);
             CREATE TABLE padded AS SELECT repeat(md5(n::text), 8) AS title FROM generate_series(1, 80000) AS n;
             SET session_replication_role = replica;
             INSERT INTO documents (tenant_id, title, content, content_sha256)
             SELECT t.id, p.title, 'c', '' FROM padded p, tenants t WHERE t.slug = 'demo';
             SET session_replication_role = origin",
        )
        .await
        .unwrap();
    let large = "SELECT pg_relation_size('idx_documents_tenant_title') > 16 << 20";
    assert!(client.query_one(large, &[]).await.unwrap().get::<_, bool>(0));
    client.batch_execute("CREATE ROLE watcher LOGIN IN ROLE bailiwick_maintenance, pg_monitor").await.unwrap();
    let busy = cluster.connect("bw").await;
    busy.batch_execute("BEGIN; SELECT txid_current()").await.unwrap();
    let preparing = cluster.connect("bw").await;
    preparing.batch_execute("BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'forgotten'").await.unwrap();
    let late = |findings: &[Finding]| -> BTreeSet<&'static str> {
        findings.iter().map(|finding| finding.check).filter(|check| IN_TIME.contains(check)).collect()
    };
    assert_eq!(late(&found(&client).await), BTreeSet::new(), "nothing is late yet");

    std::fs::write(&clock, "+8d\n").unwrap();
    let watcher = admin::connect(&cluster.config("watcher", "bw")).await.unwrap();
    for client in [&client, &watcher] {
        let findings = found(client).await;
        assert_eq!(late(&findings), BTreeSet::from(IN_TIME), "{findings:?}");
        let of = |check: &str| {
            findings.iter().filter(|one| one.check == check).map(|one| one.subject.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of("unused_indexes"), ["idle"], "those of the migrations are there for a use that may come");
        assert_eq!(of("prepared_transactions"), ["prepared transaction forgotten"]);
    }
    client.batch_execute("ROLLBACK PREPARED 'forgotten'").await.unwrap();
    drop(busy);
}
