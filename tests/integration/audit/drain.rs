//! The end of a server.

use std::time::Duration;

use crate::harness::{Gate, PATIENCE, Process, TestDatabase, until};
use serde_json::{Value, json};

fn call(id: i64, name: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

fn signal(process: &Process, name: &str) {
    let pid = process.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// Waits until the server says that.
async fn hear(process: &mut Process, words: &str) {
    let stderr = process.stderr.as_mut().unwrap();
    loop {
        let line = tokio::time::timeout(PATIENCE, stderr.next_line()).await.expect("it is said in time").unwrap();
        if line.unwrap_or_else(|| panic!("it has ended and not said: {words}")).contains(words) {
            return;
        }
    }
}

const ENDING: &str = "calls under way are answered";

/// A server with an insert that waits at a gate.
async fn busy(database: &TestDatabase) -> (Process, Gate<'_>) {
    let mut process = Process::serve(database, "demo").await;
    process.initialize().await;
    process.send(call(0, "tenant_status", &json!({}))).await;
    process.receive().await.unwrap();
    let gate = Gate::shut(database).await;
    process.send(call(1, "insert_document", &json!({ "title": "t", "content": "c" }))).await;
    let announced = "SELECT count(*) FROM call_intents";
    until("the call runs", async || database.value::<i64>(announced).await == 1).await;
    (process, gate)
}

#[tokio::test]
async fn a_signal_lets_calls_end_and_lets_no_more_in() {
    for name in ["TERM", "INT"] {
        let database = TestDatabase::create().await;
        let (mut process, gate) = busy(&database).await;
        signal(&process, name);
        hear(&mut process, ENDING).await;
        // The word goes out a moment before the door is shut.
        tokio::time::sleep(Duration::from_millis(100)).await;
        process.send(call(2, "hybrid_search", &json!({ "query": "c" }))).await;
        let late = process.receive().await.unwrap();
        assert_eq!(late["id"], 2);
        assert!(
            late["result"]["content"][0]["text"]
                .as_str()
                .unwrap()
                .starts_with("unavailable: the server is being stopped"),
            "{late}"
        );
        gate.open().await;
        let answer = process.receive().await.unwrap();
        assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(1), &json!(false)), "{answer}");
        // stdin is still open.
        let status = tokio::time::timeout(Duration::from_secs(20), process.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0));
        let outcomes = "SELECT string_agg(action || ' ' || outcome, ',' ORDER BY id) FROM audit_logs";
        assert_eq!(database.value::<String>(outcomes).await, "read ok,search error,insert ok");
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let database = TestDatabase::create().await;
    // At the gate its call would wait for longer than this test does.
    let (mut process, gate) = busy(&database).await;
    signal(&process, "TERM");
    hear(&mut process, ENDING).await;
    signal(&process, "TERM");
    let status = tokio::time::timeout(Duration::from_secs(5), process.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(128 + 15));
    gate.open().await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
}

#[tokio::test]
async fn the_end_of_stdin_lets_calls_end() {
    let database = TestDatabase::create().await;
    let (process, gate) = busy(&database).await;
    let freed = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        gate.open().await;
    };
    let ((code, messages, stderr), ()) = tokio::join!(process.finish(), freed);
    assert_eq!((code, messages.len()), (Some(0), 1), "{stderr}");
    assert_eq!(messages[0]["result"]["isError"], false, "{messages:?}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'ok'").await, 2);
}

#[tokio::test]
async fn a_signal_before_any_client_ends_the_server() {
    let database = TestDatabase::create().await;
    let mut process = Process::serve(&database, "demo").await;
    // It has started once it asks for open calls.
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%reap_calls%' AND pid <> pg_backend_pid()";
    until("it has started", async || database.value::<i64>(connected).await > 0).await;
    signal(&process, "TERM");
    let status = tokio::time::timeout(Duration::from_secs(20), process.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_signal_after_the_end_of_stdin_is_the_first() {
    let database = TestDatabase::create().await;
    let (mut process, gate) = busy(&database).await;
    process.stdin.take();
    // What is under way is waited for in silence; a signal that came before that was noticed is the first as well.
    tokio::time::sleep(Duration::from_millis(200)).await;
    signal(&process, "TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.open().await;
    let (code, messages, stderr) = process.finish().await;
    assert_eq!((code, messages.len()), (Some(0), 1), "{stderr}");
}
