//! A client that closes its connection takes its call back.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::Client;
use serde_json::json;

use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::audit::tools::Ending;
use crate::harness::{TestDatabase, asleep, until};

#[tokio::test]
async fn a_closed_connection_stops_the_statement_and_leaves_a_cancelled_row() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start_with(&database, HttpOptions::default(), Toolbox::empty().with(Ending)).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "closer", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for version in ["2025-11-25", "2026-07-28"] {
        let mut message = tool_call(1, "ending", &json!({ "end": "slow statement" }));
        let mut request = Client::new()
            .post(server.url("/mcp"))
            .bearer_auth(&ada)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", version);
        if version == "2026-07-28" {
            message["params"]["_meta"] = meta.clone();
            request = request.header("mcp-method", "tools/call").header("mcp-name", "ending");
        }
        tokio::select! {
            answered = request.json(&message).send() => panic!("{version}: the client gives up first: {answered:?}"),
            () = until("the statement runs", async || asleep(&database).await == 1) => {}
        }
        // The client and its connection have gone.
        until("the statement is stopped", async || asleep(&database).await == 0).await;
    }
    assert!(server.calls.drain(Duration::from_secs(10)).await);
    let outcomes = "SELECT string_agg(outcome, ' ') FROM audit_logs";
    assert_eq!(database.value::<String>(outcomes).await, "cancelled cancelled");
}
