//! Whose tenant may not call: kept out at the door, on every route, with a row for each call that was none.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::issuer::TestIssuer;
use super::listening::Listening;
use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::harness::TestDatabase;

fn options() -> HttpOptions {
    let public_url = Some("https://mcp.example".to_owned());
    HttpOptions { legacy_sse: true, a2a: true, public_url, ..HttpOptions::default() }
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn send_message(part: Value) -> Value {
    request("SendMessage", json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [part] } }))
}

/// What is asked where, and the resource of the row that it leaves.
fn asked(messages: &str) -> Vec<(&str, Option<Value>, Option<&str>)> {
    let hello =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
    let prompt = json!({ "type": "ref/prompt", "name": "answer_with_sources" });
    let mcp = vec![
        (request("initialize", hello), None),
        (request("server/discover", json!({})), None),
        (request("ping", json!({})), None),
        (request("tools/list", json!({})), None),
        (request("prompts/list", json!({})), None),
        (tool_call(1, "tenant_status", &json!({})), Some("tools/tenant_status")),
        (tool_call(1, "insert_document", &json!({ "title": "t", "content": "c" })), Some("tools/insert_document")),
        (tool_call(1, "no_such_tool", &json!({})), Some("tools/unknown")),
        (request("resources/list", json!({})), Some("resources/list")),
        (request("resources/read", json!({ "uri": "bailiwick://schema" })), Some("resources/schema")),
        (request("resources/read", json!({ "uri": "bailiwick://documents/x" })), Some("resources/document")),
        (request("resources/read", json!({ "uri": "ui://bailiwick/cost-report" })), Some("resources/cost_view")),
        (
            request("completion/complete", json!({ "ref": prompt, "argument": { "name": "source", "value": "" } })),
            Some("completion/sources"),
        ),
        // What is no request, or none that could be read, is no call.
        (json!({ "jsonrpc": "2.0", "method": "tools/call", "params": { "name": "tenant_status" } }), None),
        (json!([1, 2]), None),
        (json!({ "id": 1, "method": "tools/call" }), None),
    ];
    let mut all = Vec::new();
    for (message, row) in mcp {
        all.push(("/mcp", Some(message.clone()), row));
        all.push((messages, Some(message), row));
    }
    let data = json!({ "data": { "skill": "cost_report", "arguments": {} } });
    all.extend([
        ("/a2a", Some(send_message(data)), Some("tools/cost_report")),
        ("/a2a", Some(send_message(json!({ "text": "staplers" }))), Some("tools/hybrid_search")),
        ("/a2a", Some(send_message(json!({ "url": "https://x.example" }))), None),
        ("/a2a", Some(request("GetTask", json!({ "id": "x" }))), None),
        ("/a2a", Some(tool_call(1, "tenant_status", &json!({}))), None),
        ("/sse", None, None),
        ("/mcp", None, None),
    ]);
    all
}

fn built(
    server: &HttpServer,
    client: &Client,
    credential: &str,
    path: &str,
    message: Option<&Value>,
) -> RequestBuilder {
    let request = match message {
        Some(message) => client.post(server.url(path)).json(message),
        None => client.get(server.url(path)),
    };
    let request = request.bearer_auth(credential).header("accept", "application/json, text/event-stream");
    request.header("mcp-protocol-version", "2025-11-25").header("a2a-version", "1.0").header("user-agent", "barred/1")
}

#[tokio::test]
async fn a_tenant_that_may_not_call_is_kept_out_of_every_route_with_a_row_for_each_call() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let server = HttpServer::start_all(&database, options(), Toolbox::new(&model()), Some(issuer.options())).await;
    let client = Client::new();
    let of_key = key(&database, "demo", "ada", ALL_SCOPES).await;
    let token = issuer.token(&issuer.claims("demo", ALL_SCOPES));
    let neighbour = key(&database, "enterprise", "eve", ALL_SCOPES).await;
    let mut stream = Listening::start(&client, &server.url(""), &of_key).await;
    stream.introduce().await;
    let messages = stream.endpoint.clone();
    for (status, answer) in [("suspended", StatusCode::FORBIDDEN), ("deleted", StatusCode::UNAUTHORIZED)] {
        database.execute(&format!("UPDATE tenants SET status = '{status}' WHERE slug = 'demo'")).await;
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        let mut expected = Vec::new();
        for credential in [&of_key, &token] {
            for (path, message, row) in asked(&messages) {
                let response = built(&server, &client, credential, path, message.as_ref()).send().await.unwrap();
                let (found, headers) = (response.status(), response.headers().clone());
                let text = response.text().await.unwrap();
                assert_eq!(found, answer, "{path} {message:?}: {text}");
                match answer {
                    StatusCode::FORBIDDEN => {
                        assert_eq!(text, "forbidden: your tenant is suspended; its operator can activate it again.");
                        // No other token would help, so no client must ask for one.
                        assert!(!headers.contains_key("www-authenticate"));
                    }
                    _ => {
                        let challenge = headers["www-authenticate"].to_str().unwrap();
                        assert!(challenge.contains("invalid_token"), "{challenge}");
                        assert!(!text.contains("tenant"), "as for a credential that nobody has: {text}");
                    }
                }
                assert_eq!(headers["cache-control"], "no-store");
                expected.extend(row);
            }
        }
        let rows = format!(
            "SELECT coalesce(string_agg(resource, ' ' ORDER BY id), '') FROM audit_logs WHERE outcome = 'denied' AND error_message = 'forbidden' AND user_id = 'ada' AND user_agent = 'barred/1' AND host(ip_address) = '127.0.0.1' AND details->>'tenant_status' = '{status}'"
        );
        assert_eq!(database.value::<String>(&rows).await, expected.join(" "), "{status}");
        let all = "SELECT count(*) FROM audit_logs WHERE outcome <> 'denied'";
        assert_eq!(database.value::<i64>(all).await, 0, "nothing was done");
    }
    stream.end().await;
    // Everybody else is served, and so is the tenant once it may call again.
    assert_eq!(server.call(&client, &neighbour, "tenant_status", json!({})).await["isError"], false);
    database.execute("UPDATE tenants SET status = 'active' WHERE slug = 'demo'").await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    for credential in [&of_key, &token] {
        assert_eq!(server.call(&client, credential, "tenant_status", json!({})).await["isError"], false);
    }
}

#[tokio::test]
async fn until_the_suspension_is_known_a_call_is_denied_by_what_it_sees_itself() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    assert_eq!(server.call(&client, &ada, "tenant_status", json!({})).await["isError"], false);
    database.execute("UPDATE tenants SET status = 'suspended' WHERE slug = 'demo'").await;
    let denied = server.post(&client, &ada).json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
    // By either: a machine that is slow may have learnt of it already.
    match denied.status() {
        StatusCode::FORBIDDEN => {}
        status => {
            let told: Value = denied.json().await.unwrap();
            let text = told["result"]["content"][0]["text"].as_str().unwrap();
            assert_eq!(status, StatusCode::OK);
            assert!(text.starts_with("forbidden: your tenant is suspended"), "{text}");
        }
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'denied'").await, 1);
}
