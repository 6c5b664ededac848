//! Answers that are lost on the way: what is told is what happened.

use serde_json::Value;

use super::{backup, both, command, remains, world};
use crate::harness::{Fault, Proxy, TestDatabase, server, until, url};
use crate::reach::Cluster;

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

/// A server that waits for a standby has not put anything in its place as yet, and will not take it back.
#[tokio::test]
async fn a_commit_that_is_under_way_when_its_answer_is_lost_is_not_told_as_failed() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let cluster = Cluster::create(server().await.bin_dir(), "fsync = on\n").await;
    cluster.start();
    let proxy = Proxy::before(&cluster.socket_dir(), cluster.port());
    let socket_dir = proxy.socket_dir().display().to_string().replace('/', "%2F");
    // The migrations that make the roles have functions that rename, and commit, too.
    proxy.arm_behind(Fault::Hold, "ALTER DATABASE \"bailiwick_restoring_");
    let mut command = command(&database, &["restore", "--json", &file]).await;
    command.env("BAILIWICK_ADMIN_DATABASE_URL", format!("postgresql://postgres@{socket_dir}:{}/bw", cluster.port()));
    command.env("BAILIWICK_DATABASE_URL", format!("postgresql://bailiwick_app@{}/bw", cluster.host()));
    let meanwhile = async {
        until("the COMMIT is held", async || proxy.struck() == 1).await;
        let client = cluster.connect("template1").await;
        client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        // Every process has heard of it when one that writes waits.
        let writer = cluster.connect("template1").await;
        let writing = tokio::spawn(async move { writer.batch_execute("CREATE TABLE waiting (id int)").await });
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let waits = async || client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0);
        until("a commit waits for a standby", async || waits().await == 1).await;
        let in_place = "SELECT count(*) FROM pg_database WHERE datname = 'bw'";
        proxy.let_go();
        let is_there = async || client.query_one(in_place, &[]).await.unwrap().get::<_, i64>(0);
        until("it has come to its end", async || is_there().await == 1).await;
        client.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let _ = writing.await;
    };
    let (output, ()) = tokio::join!(command.output(), meanwhile);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", both(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["restore"]["in_place"], true, "{told}");
    // That of which nothing is sealed as yet says so of all seals that anybody may know of.
    assert!(told["notes"].to_string().contains("until all of them are out of their files of heads"), "{told}");
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
