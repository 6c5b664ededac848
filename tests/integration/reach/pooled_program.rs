//! The program itself behind PgBouncer: what it asks for, and how it serves.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick::call::{Calls, Client, Failure};
use bailiwick::db::{Endpoint, Sessions, sessions};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::authority::Authority;
use super::caller::caller;
use super::pooler::options;
use super::{Pgbouncer, Pooling};
use crate::audit::tools::Ending;
use crate::harness::{Process, TestDatabase};

/// `bailiwick` with these variables, its stdin at an end.
async fn bailiwick(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(arguments).env_remove("DATABASE_URL").env("BAILIWICK_TENANT", "demo").stdin(Stdio::null());
    command.envs(variables.iter().copied()).output().await.unwrap()
}

#[tokio::test]
async fn the_program_says_what_it_needs_beside_it_and_then_serves() {
    let (database, another) = (TestDatabase::create().await, TestDatabase::create().await);
    let Some(mut pgbouncer) = Pgbouncer::start(Pooling::Transaction(2), "", &[]).await else { return };
    let pooled = pgbouncer.url("bailiwick_app", database.name());
    let (direct, foreign) = (database.url("bailiwick_app").await, another.url("bailiwick_app").await);
    let admin = pgbouncer.url("postgres", database.name());
    for (arguments, variables, words) in [
        (&["serve"][..], &[("BAILIWICK_DATABASE_URL", pooled.as_str())][..], "Set BAILIWICK_DIRECT_DATABASE_URL"),
        (
            &["serve"],
            &[("BAILIWICK_DATABASE_URL", &pooled), ("BAILIWICK_DIRECT_DATABASE_URL", &pooled)],
            "a pooler in transaction mode (PgBouncer) itself",
        ),
        (
            &["serve"],
            &[("BAILIWICK_DATABASE_URL", &pooled), ("BAILIWICK_DIRECT_DATABASE_URL", &foreign)],
            "another database",
        ),
        (&["serve"], &[("BAILIWICK_DIRECT_DATABASE_URL", &direct)], "which is not set"),
        (
            &["serve"],
            &[("BAILIWICK_DATABASE_URL", &direct), ("BAILIWICK_REPLICA_DATABASE_URL", &pooled)],
            "BAILIWICK_REPLICA_DATABASE_URL leads to a pooler",
        ),
        (&["migrate", "status"], &[("BAILIWICK_ADMIN_DATABASE_URL", &admin)], "past the pooler"),
    ] {
        let output = bailiwick(arguments, variables).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains(words), "{words}: {told}");
        assert!(output.stdout.is_empty());
    }

    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .env("BAILIWICK_DATABASE_URL", &pooled)
        .env("BAILIWICK_DIRECT_DATABASE_URL", &direct)
        .env("BAILIWICK_TENANT", "demo");
    let mut process = Process::spawn(command);
    process.initialize().await;
    stores_and_finds(&mut process).await;
    let key = "SELECT format('%s %s', classid, objid) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'bailiwick-lease' AND l.locktype = 'advisory' AND a.datname = current_database()";
    let held: String = database.value(key).await;
    // It is none of the pooler's.
    pgbouncer.kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(database.value::<String>(key).await, held);
    pgbouncer.run();
    let (code, _, stderr) = process.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
}

async fn stores_and_finds(process: &mut Process) {
    for (id, tool, arguments, words) in [
        (1, "insert_document", json!({ "title": "Leave", "content": "Annual leave is 25 days." }), "document_id"),
        (2, "hybrid_search", json!({ "query": "annual leave" }), "25 days"),
    ] {
        let params = json!({ "name": tool, "arguments": arguments });
        process.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })).await;
        let answer = process.receive().await.unwrap();
        assert!(answer.to_string().contains(words) && answer["result"]["isError"] != true, "{answer}");
    }
}

#[tokio::test]
async fn a_session_of_one_s_own_is_told_from_one_that_is_lent() {
    let database = TestDatabase::create().await;
    assert_eq!(sessions(&Endpoint::from(database.app())).await.unwrap(), Sessions::Kept);
    for (pooling, settings, wanted) in [
        (Pooling::Session, "", Sessions::Kept),
        // Fewer than are tried.
        (Pooling::Session, "default_pool_size = 3", Sessions::Kept),
        (Pooling::Transaction(1), "", Sessions::Lent),
        (Pooling::Transaction(4), "", Sessions::Lent),
        (Pooling::Transaction(4), "min_pool_size = 3\nserver_round_robin = 1", Sessions::Lent),
    ] {
        let Some(pgbouncer) = Pgbouncer::start(pooling, settings, &[]).await else { return };
        let url = pgbouncer.url("bailiwick_app", database.name());
        assert_eq!(sessions(&super::app(&url, None)).await.unwrap(), wanted, "{pooling:?} {settings}");
    }
}

/// The kernel gives each connection to one of the processes by its address, so that two that are compared may be at different ones.
#[tokio::test]
async fn a_pooler_of_several_processes_is_known_too() {
    let database = TestDatabase::create().await;
    let Some(pgbouncer) = Pgbouncer::start(Pooling::Transaction(4), "so_reuseport = 1", &[]).await else { return };
    let _beside: Vec<_> = (0..3).map(|_| pgbouncer.beside()).collect();
    let endpoint = super::app(&pgbouncer.url("bailiwick_app", database.name()), None);
    for _ in 0..8 {
        assert_eq!(sessions(&endpoint).await.unwrap(), Sessions::Lent);
    }
}

/// In session mode it is a server that encrypts and asks for a certificate, before the program's own PostgreSQL, which does not.
#[tokio::test]
async fn the_program_serves_over_tls_with_a_certificate_of_its_own_and_cancels_over_it() {
    let database = TestDatabase::create().await;
    let authority = Authority::new("Our authority");
    let (server, card) = (authority.sign("server", &["db.bailiwick.example"]), authority.sign("bailiwick_app", &[]));
    let settings = "client_tls_sslmode = verify-ca\nclient_tls_ca_file = {folder}/ca.crt\nclient_tls_cert_file = {folder}/server.crt\nclient_tls_key_file = {folder}/server.key";
    let files =
        [("ca.crt", authority.pem()), ("server.crt", server.certificate.clone()), ("server.key", server.key.clone())];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let Some(pgbouncer) = Pgbouncer::start(Pooling::Session, settings, &files).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = card.write(folder.path(), "card");
    std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
    let place = format!("db.bailiwick.example:{}/{}?hostaddr=127.0.0.1", pgbouncer.port(), database.name());
    let url = format!(
        "postgresql://bailiwick_app@{place}&sslmode=verify-full&sslrootcert={}&sslcert={}&sslkey={}",
        folder.path().join("ca.crt").display(),
        certificate.display(),
        key.display()
    );
    let bare = bailiwick(
        &["serve"],
        &[("BAILIWICK_DATABASE_URL", &format!("postgresql://bailiwick_app@{place}&sslmode=disable"))],
    )
    .await;
    assert_eq!(bare.status.code(), Some(1), "it lets nobody in who does not encrypt");

    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.env("BAILIWICK_DATABASE_URL", &url).env("BAILIWICK_TENANT", "demo");
    let mut process = Process::spawn(command);
    process.initialize().await;
    stores_and_finds(&mut process).await;
    let (code, _, stderr) = process.finish().await;
    assert_eq!(code, Some(0), "{stderr}");

    let calls = Calls::open(super::app(&url, None), &options(&database, 2)).unwrap();
    let cancelled = CancellationToken::new();
    let (running, token, demo) = (calls.clone(), cancelled.clone(), database.tenant("demo").await.id);
    let Value::Object(arguments) = json!({ "end": "slow statement" }) else { unreachable!() };
    let call = tokio::spawn(async move {
        running.run(&Arc::new(Ending), &caller(demo, "canceller"), Client::default(), arguments, &token).await
    });
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()";
    for (wanted, what) in [(1, "the statement never ran"), (0, "the statement still runs")] {
        let begun = Instant::now();
        while database.value::<i64>(asleep).await != wanted {
            // Short of the 8 seconds after which the statement's own time-out would end it.
            assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancelled.cancel();
    }
    assert!(matches!(call.await.unwrap(), Err(Failure::Cancelled)));
    calls.drain(Duration::from_secs(5)).await;
}
