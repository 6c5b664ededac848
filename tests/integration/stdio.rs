//! The real binary over stdio.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Process, TestDatabase};

#[tokio::test]
async fn a_hundred_concurrent_calls_are_answered_once_each_and_leave_a_row_each() {
    let database = TestDatabase::create().await;
    let mut process = Process::serve(&database, "demo").await;
    process.initialize().await;
    for id in 0..100 {
        let (name, arguments) = match id % 4 {
            0 => (
                "insert_document",
                json!({ "title": format!("Note {id}"), "content": format!("Concurrent note {id}.") }),
            ),
            1 => ("cost_report", json!({})),
            2 => ("hybrid_search", json!({ "query": "concurrent" })),
            _ => ("hybrid_search", json!({ "query": "" })),
        };
        process.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": name, "arguments": arguments } })).await;
    }
    let (code, messages, stderr) = process.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
    let ids: Vec<_> = messages.iter().map(|message| message["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 100);
    for message in &messages {
        let refused = message["result"]["isError"] == true;
        assert_eq!(refused, message["id"].as_i64().unwrap() % 4 == 3, "{message}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 100);
    assert_eq!(database.value::<i64>("SELECT count(DISTINCT call_id) FROM audit_logs").await, 100);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE success").await, 75);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 25);
}

#[tokio::test]
async fn malformed_lines_do_not_stop_the_server() {
    let database = TestDatabase::create().await;
    let mut process = Process::serve(&database, "demo").await;
    process.initialize().await;
    for line in [
        "",
        "{",
        "not json",
        "[]",
        "{\"jsonrpc\":\"2.0\"}",
        "\u{0}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}",
    ] {
        process.line(line).await;
    }
    process.send(json!({ "jsonrpc": "2.0", "id": "last", "method": "tools/list" })).await;
    let (code, messages, stderr) = process.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        messages.iter().any(|message| message["id"] == "last" && message["result"]["tools"].is_array()),
        "{messages:?}"
    );
}

#[tokio::test]
async fn the_end_of_stdin_ends_the_server_cleanly() {
    let database = TestDatabase::create().await;
    let process = Process::serve(&database, "demo").await;
    let (code, messages, stderr) = process.finish().await;
    assert_eq!((code, messages.len()), (Some(0), 0), "{stderr}");
}

/// What a person pipes into the program: all lines at once, then the end.
async fn piped(lines: &[Value]) -> Vec<Value> {
    let database = TestDatabase::create().await;
    let mut process = Process::serve(&database, "demo").await;
    for line in lines {
        process.send(line.clone()).await;
    }
    let (code, messages, stderr) = process.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE success").await, 1);
    messages
}

fn answer(messages: &[Value], id: i64) -> &Value {
    let found: Vec<_> = messages.iter().filter(|message| message["id"] == id).collect();
    assert_eq!(found.len(), 1, "{messages:?}");
    &found[0]["result"]
}

#[tokio::test]
async fn lines_piped_in_by_hand_are_all_answered_in_the_era_of_initialize() {
    let client = json!({ "name": "printf", "version": "1" });
    let messages = piped(&[
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "hybrid_search", "arguments": { "query": "leave" } } }),
    ])
    .await;
    assert_eq!(answer(&messages, 1)["serverInfo"]["name"], "bailiwick");
    assert_eq!(answer(&messages, 2)["tools"].as_array().unwrap().len(), 10);
    assert!(answer(&messages, 2)["cacheScope"].is_null(), "the field is younger than this revision");
    assert_eq!(answer(&messages, 3)["structuredContent"]["mode"], "bm25_only");
}

#[tokio::test]
async fn lines_piped_in_by_hand_are_all_answered_in_the_stateless_era() {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "printf", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let messages = piped(&[
        json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta } }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": { "_meta": meta } }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "_meta": meta, "name": "hybrid_search", "arguments": { "query": "leave" } } }),
    ])
    .await;
    assert!(answer(&messages, 1)["supportedVersions"].to_string().contains("2026-07-28"), "{messages:?}");
    assert_eq!(answer(&messages, 2)["cacheScope"], "private", "the list differs by scope");
    assert_eq!(answer(&messages, 3)["structuredContent"]["mode"], "bm25_only");
}
