//! `bailiwick ingest --wait`: not over before what it stored is found by meaning.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::command;
use crate::embedding::setup::{FakeService, Reply};
use crate::harness::TestDatabase;

async fn ingest(
    database: &TestDatabase,
    service: &FakeService,
    folder: &Path,
    arguments: &[&str],
) -> (Option<i32>, serde_json::Value) {
    let mut command: Command = command(database, folder).await;
    command
        .env("BAILIWICK_EMBEDDINGS_URL", service.url())
        .env("BAILIWICK_EMBEDDINGS_MODEL", service.name())
        .env("BAILIWICK_EMBEDDINGS_DIMENSIONS", service.dimensions.to_string())
        .env("BAILIWICK_EMBEDDINGS_UNPRICED", "true")
        .args(["ingest", "--json", "notes"])
        .args(arguments);
    let output = command.output().await.unwrap();
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), told)
}

fn notes(folder: &Path, count: usize, word: &str) {
    std::fs::create_dir_all(folder.join("notes")).unwrap();
    for n in 0..count {
        std::fs::write(folder.join(format!("notes/{word}{n}.md")), format!("# Note {n}\n\nIt tells of {word}.\n"))
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_stored_is_embedded_when_it_ends() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let _demo = database.tenant("demo").await;
    let service = FakeService::start(vec![Reply::Slow(std::time::Duration::from_millis(500))]).await;
    notes(folder.path(), 30, "leave");
    let (code, told) = ingest(&database, &service, folder.path(), &["--wait"]).await;
    assert_eq!((code, &told["summary"]["stored"]), (Some(0), &json!(30)), "{told}");
    assert_eq!((&told["embedding"]["pending"], &told["embedding"]["failed"]), (&json!(0), &json!(0)), "{told}");
    let left = "SELECT count(*) FROM documents WHERE embedding IS NULL";
    assert_eq!(database.value::<i64>(left).await, 0);

    // A service that has no time for us: what waits is counted and its reason told, and the exit code says so.
    notes(folder.path(), 5, "travel");
    *service.replies.lock().unwrap() = vec![Reply::Status(401, &[]); 1_000];
    let (code, told) = ingest(&database, &service, folder.path(), &["--wait", "--wait-timeout", "2"]).await;
    assert_eq!((code, &told["summary"]["stored"], &told["summary"]["unchanged"]), (Some(1), &json!(5), &json!(30)));
    let embedding = &told["embedding"];
    assert_eq!(embedding["pending"], 5, "{told}");
    assert!(embedding["seconds"].as_f64().unwrap() < 60.0, "{told}");

    // Without --wait nobody waits.
    notes(folder.path(), 5, "parking");
    let (code, told) = ingest(&database, &service, folder.path(), &[]).await;
    assert_eq!((code, told.get("embedding")), (Some(0), None), "{told}");
}

#[tokio::test]
async fn nobody_waits_for_what_nobody_will_do() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let _demo = database.tenant("demo").await;
    notes(folder.path(), 1, "leave");
    let run = super::run(&database, folder.path(), &["ingest", "--no-embeddings", "--wait", "notes"]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("--wait: neither this program nor any server embeds"), "{run:?}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0, "nothing was begun");
}
