//! Agents by A2A 1.0: the same tools, callers, limits and rows.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use super::issuer::TestIssuer;
use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, model};
use crate::audit::tools::Ending;
use crate::clients::packages;
use crate::harness::{TestDatabase, asleep, until};

fn options() -> HttpOptions {
    HttpOptions { a2a: true, ..HttpOptions::default() }
}

fn message(part: Value) -> Value {
    let message = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [part] });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": { "message": message, "tenant": "enterprise" } })
}

fn skill(name: &str, arguments: Value) -> Value {
    message(json!({ "data": { "skill": name, "arguments": arguments } }))
}

async fn asked(server: &HttpServer, client: &Client, key: &str, message: &Value) -> reqwest::Response {
    let request = client.post(server.url("/a2a")).bearer_auth(key).header("a2a-version", "1.0");
    request.json(message).send().await.unwrap()
}

async fn send(server: &HttpServer, client: &Client, key: &str, message: &Value) -> Value {
    let response = asked(server, client, key, message).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

const ROWS: &str = "SELECT coalesce(string_agg(concat_ws(' ', t.slug, a.user_id, a.resource, a.outcome), ', ' ORDER BY a.id), '') FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id";

#[tokio::test]
async fn a_message_is_one_call_of_whom_its_key_says_with_one_row() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, options()).await;
    let (ada, reader, client) = (
        key(&database, "demo", "ada", ALL_SCOPES).await,
        key(&database, "demo", "reader", "documents:read").await,
        Client::new(),
    );
    let stored =
        send(&server, &client, &ada, &skill("insert_document", json!({ "title": "Hers", "content": "secret plans" })))
            .await;
    assert!(stored["result"]["message"]["parts"][0]["data"]["document_id"].is_string(), "{stored}");
    // Text is a search, and the tenant that a request names has no say.
    let found = send(&server, &client, &reader, &message(json!({ "text": "secret plans" }))).await;
    assert_eq!(found["result"]["message"]["role"], "ROLE_AGENT");
    assert_eq!(found["result"]["message"]["parts"][0]["data"]["results"][0]["title"], "Hers", "{found}");
    for (message, words, code, failure) in [
        (skill("insert_document", json!({ "title": "t", "content": "c" })), "forbidden", -32600, Some("forbidden")),
        // As clients that speak protobuf say it.
        (
            skill("hybrid_search", json!({ "query": "x", "limit": 99.0 })),
            "`limit` is 99",
            -32602,
            Some("invalid_input"),
        ),
        (
            skill("hybrid_search", json!({ "query": "x", "limit": 9.5 })),
            "`limit` does not",
            -32602,
            Some("invalid_input"),
        ),
        (skill("no_such_skill", json!({})), "unknown skill; there are hybrid_search", -32602, None),
    ] {
        // Whoever has a key can ask nobody for more, so the status stays, as MCP's does.
        let refused = send(&server, &client, &reader, &message).await;
        let error = &refused["error"];
        assert!(error["message"].as_str().is_some_and(|text| text.contains(words)), "{refused}");
        assert_eq!(error["code"], code, "{refused}");
        assert_eq!(error["data"][0]["metadata"]["failure"].as_str(), failure, "{refused}");
    }
    let expected = [
        "demo ada tools/insert_document ok",
        "demo reader tools/hybrid_search ok",
        "demo reader tools/insert_document denied",
        "demo reader tools/hybrid_search error",
        "demo reader tools/hybrid_search error",
        "demo reader tools/unknown denied",
    ];
    assert_eq!(database.value::<String>(ROWS).await, expected.join(", "));
    // What is no call leaves no row.
    let wrong = [
        message(json!({ "data": { "skill": 7 } })),
        message(json!({ "data": { "skill": "hybrid_search", "argument": {} } })),
        message(json!({ "url": "https://x.example" })),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": { "id": "x" } }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": skill("hybrid_search", json!({ "query": "x" }))["params"] }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "CancelTask", "params": { "id": "x" } }),
    ];
    for message in wrong {
        let answer = send(&server, &client, &ada, &message).await;
        assert!(answer["error"]["code"].is_number(), "{message}: {answer}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 6);
}

#[tokio::test]
async fn it_is_off_unless_asked_for_and_wants_a_credential_and_known_pages() {
    let database = TestDatabase::create().await;
    let (off, on) =
        (HttpServer::start(&database, HttpOptions::default()).await, HttpServer::start(&database, options()).await);
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let search = message(json!({ "text": "x" }));
    assert_eq!(
        client.post(off.url("/a2a")).bearer_auth(&ada).json(&search).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        client.get(off.url("/.well-known/agent-card.json")).send().await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let card: Value = client.get(on.url("/.well-known/agent-card.json")).send().await.unwrap().json().await.unwrap();
    assert_eq!(card["supportedInterfaces"][0]["url"], format!("{}/a2a", on.url("")));
    assert!(card["securitySchemes"]["bearer"].to_string().contains("Bearer"), "{card}");
    let toolbox = Toolbox::new(&model());
    let names: Vec<_> = toolbox.scopes().map(|(name, _)| name.to_owned()).collect();
    let skills: Vec<_> =
        card["skills"].as_array().unwrap().iter().map(|skill| skill["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(skills, names);
    for request in [client.post(on.url("/a2a")), client.post(on.url("/a2a")).bearer_auth("guess")] {
        assert_eq!(request.json(&search).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    let page = client.post(on.url("/a2a")).bearer_auth(&ada).header("origin", "https://evil.example");
    assert_eq!(page.json(&search).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 0);
}

#[tokio::test]
async fn a_token_that_lacks_a_scope_is_told_which_and_whole_numbers_are_whole() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let options = HttpOptions { public_url: Some("https://mcp.example".to_owned()), ..options() };
    let server = HttpServer::start_all(&database, options, Toolbox::new(&model()), Some(issuer.options())).await;
    let (client, reader) = (Client::new(), issuer.token(&issuer.claims("demo", "documents:read")));
    let denied = asked(&server, &client, &reader, &skill("cost_report", json!({}))).await;
    assert_eq!(denied.status(), StatusCode::FORBIDDEN);
    let challenge = denied.headers()["www-authenticate"].to_str().unwrap().to_owned();
    for part in [
        "error=\"insufficient_scope\"",
        "scope=\"documents:read costs:read\"",
        "resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/a2a\"",
    ] {
        assert!(challenge.contains(part), "{challenge}");
    }
    let told: Value = denied.json().await.unwrap();
    assert!(told["error"]["message"].as_str().unwrap().contains("costs:read"), "{told}");
    // What is wrong with a call that it may make is no matter of scopes.
    let wrong = asked(&server, &client, &reader, &skill("hybrid_search", json!({ "query": "" }))).await;
    assert_eq!(wrong.status(), StatusCode::OK);
    let searched = asked(&server, &client, &reader, &message(json!({ "text": "x" }))).await;
    let length = searched.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
    let text = searched.text().await.unwrap();
    assert!(text.contains("\"total_candidates\":0,") || text.contains("\"total_candidates\":0}"), "{text}");
    assert_eq!(length, Some(text.len().to_string()));
    let expected = ["tools/cost_report denied", "tools/hybrid_search error", "tools/hybrid_search ok"];
    assert_eq!(database.value::<String>(ROWS).await, expected.map(|row| format!("demo ada {row}")).join(", "));
}

#[tokio::test]
async fn closing_the_connection_takes_the_call_back() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start_with(&database, options(), Toolbox::empty().with(Ending)).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let slow = skill("ending", json!({ "end": "slow statement" }));
    let client = Client::new();
    tokio::select! {
        _ = send(&server, &client, &ada, &slow) => panic!("it was answered"),
        () = until("the statement runs", async || asleep(&database).await == 1) => {}
    }
    drop(client);
    server.calls.drain(Duration::from_secs(10)).await;
    assert_eq!(database.value::<String>(ROWS).await, "demo ada tools/ending cancelled");
}

#[tokio::test]
async fn the_python_sdk_finds_what_it_stored() {
    let packages = tokio::task::spawn_blocking(packages::a2a).await.unwrap();
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.arg("--a2a");
    })
    .await;
    let mut client = Command::new("python3");
    client.arg(packages::scripts().join("a2a_client.py")).arg(served.at(""));
    client.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
    client.env("BAILIWICK_TEST_KEY", key(&database, "demo", "ada", ALL_SCOPES).await);
    let output = client.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let saw: Value = serde_json::from_str(stdout.trim()).unwrap();
    assert_eq!(saw["found"], "Staplers", "{saw}");
    assert!(saw["invalid"].as_str().unwrap().contains("`limit` is 99"), "{saw}");
    let rows = "demo ada tools/insert_document ok, demo ada tools/hybrid_search ok, demo ada tools/hybrid_search error";
    assert_eq!(database.value::<String>(ROWS).await, rows);
}
