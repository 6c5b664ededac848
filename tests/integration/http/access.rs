//! Who is let in, and as whom.

use std::collections::BTreeSet;

use bailiwick::http::{HttpOptions, TrustedProxies};
use reqwest::{Client, StatusCode};
use serde_json::json;

use super::{ALL_SCOPES, HttpServer, key, reply, tool_call};
use crate::harness::TestDatabase;

#[tokio::test]
async fn nothing_but_a_live_key_is_a_credential() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { public_url: Some("https://mcp.example".to_owned()), ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let good = key(&database, "demo", "ada", ALL_SCOPES).await;
    let (revoked, expired) =
        (key(&database, "demo", "r", ALL_SCOPES).await, key(&database, "demo", "e", ALL_SCOPES).await);
    database.execute("UPDATE api_keys SET revoked_at = now() WHERE user_id = 'r'").await;
    database.execute("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE user_id = 'e'").await;
    let stranger = bailiwick::identity::ApiKey::generate().unwrap().expose().to_owned();
    let mut headers: Vec<Option<String>> = vec![None];
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    headers.extend([
        bearer(&revoked),
        bearer(&expired),
        bearer(&stranger),
        bearer(""),
        bearer("null"),
        bearer("undefined"),
    ]);
    headers.extend([
        bearer(&good[..good.len() - 1]),
        bearer(&format!("{good}x")),
        bearer(&good.to_uppercase()),
        bearer(&good.replace("bwk_", "bwk-")),
    ]);
    headers.extend([
        Some(good.clone()),
        Some(format!("Basic {good}")),
        Some(format!("Token {good}")),
        Some(format!("Bearer: {good}")),
    ]);
    headers.extend([
        Some(format!("Bearer {good},Bearer {good}")),
        Some(format!("Bearer {good} {good}")),
        Some("Bearer".to_owned()),
    ]);
    headers.extend([bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."), bearer(&format!("{stranger}%00{good}"))]);
    let client = Client::new();
    let post = || {
        client.post(server.url("/mcp")).header("accept", "application/json, text/event-stream").json(&tool_call(
            1,
            "tenant_status",
            &json!({}),
        ))
    };
    for header in &headers {
        let request = match header {
            Some(header) => post().header("authorization", header),
            None => post(),
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{header:?}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        assert!(
            challenge.contains("resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\""),
            "{challenge}"
        );
        assert_eq!(challenge.contains("invalid_token"), header.is_some(), "{challenge}");
        assert!(!response.text().await.unwrap().contains(&good));
    }
    // Anywhere else than in its header a key is nothing, and two of them are none.
    let elsewhere = [
        client.post(server.url(&format!("/mcp?access_token={good}&key={good}"))).json(&json!({})),
        post().header("x-api-key", &good).header("cookie", format!("key={good}")),
        post().header("authorization", format!("Bearer {good}")).header("authorization", format!("Bearer {stranger}")),
    ];
    for request in elsewhere {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM audit_logs").await,
        0,
        "nobody's calls are in nobody's trail"
    );
    let ok = post().header("authorization", format!("bearer {good}")).send().await.unwrap();
    assert_eq!(reply(ok).await["result"]["isError"], false);
}

#[tokio::test]
async fn each_request_is_whom_its_key_says_and_nobody_else() {
    let database = TestDatabase::create().await;
    let options = HttpOptions {
        trusted_proxies: TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]),
        ..HttpOptions::default()
    };
    let server = HttpServer::start(&database, options).await;
    let (ada, eve) =
        (key(&database, "demo", "ada", ALL_SCOPES).await, key(&database, "enterprise", "eve", ALL_SCOPES).await);
    let client = Client::new();
    server.call(&client, &ada, "insert_document", json!({ "title": "Hers", "content": "secret plans" })).await;
    let demo = database.tenant("demo").await.id;
    // Eve says in every way she can that she is Ada.
    let mut message = tool_call(1, "hybrid_search", &json!({ "query": "secret plans" }));
    message["params"]["_meta"] = json!({ "tenant_id": demo, "tenant": "demo", "user": "ada" });
    let response = server
        .post(&client, &eve)
        .header("x-tenant-id", demo.to_string())
        .header("x-bailiwick-tenant", "demo")
        .header("mcp-session-id", "ada-session")
        .header("x-forwarded-for", "203.0.113.9")
        .header("forwarded", "for=198.51.100.66")
        .header("user-agent", "eves-browser/1")
        .json(&message)
        .send()
        .await
        .unwrap();
    assert_eq!(reply(response).await["result"]["structuredContent"]["results"], json!([]));
    let planted = server.call(&client, &eve, "hybrid_search", json!({ "query": "secret", "tenant_id": demo })).await;
    assert_eq!(planted["isError"], true, "{planted}");
    let found = server.call(&client, &ada, "hybrid_search", json!({ "query": "secret plans" })).await;
    assert_eq!(found["structuredContent"]["results"][0]["title"], "Hers");
    let whose = "SELECT string_agg(DISTINCT t.slug || ' ' || a.user_id, ', ') FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id";
    assert_eq!(database.value::<String>(whose).await, "demo ada, enterprise eve");
    let address =
        "SELECT host(ip_address) || ' ' || user_agent FROM audit_logs WHERE user_id = 'eve' AND outcome = 'ok'";
    assert_eq!(database.value::<String>(address).await, "203.0.113.9 eves-browser/1");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE host(ip_address) = '127.0.0.1'").await, 3);
}

#[tokio::test]
async fn tools_beyond_the_scopes_are_neither_listed_nor_callable() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let reader = key(&database, "demo", "reader", "documents:read").await;
    let client = Client::new();
    let list = server
        .post(&client, &reader)
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }))
        .send()
        .await
        .unwrap();
    let tools = reply(list).await["result"]["tools"].take();
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["hybrid_search", "get_document", "list_documents", "tenant_status"]);
    for tool in ["insert_document", "cost_report", "record_usage", "search_audit_log"] {
        let text = server.call(&client, &reader, tool, json!({})).await["content"][0]["text"].take();
        assert!(text.as_str().unwrap().starts_with("forbidden: "), "{text}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'denied'").await, 4);
}

/// With every scope but one each tool of that one is refused: together these are all tools.
#[tokio::test]
async fn each_tool_needs_its_scope() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let client = Client::new();
    let tools = async |key: &str| -> BTreeSet<String> {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let list = reply(server.post(&client, key).json(&list).send().await.unwrap()).await;
        let tools = list["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = tools(&key(&database, "demo", "all", ALL_SCOPES).await).await;
    assert_eq!(all.len(), 10);
    let mut refused = BTreeSet::new();
    for (number, scope) in ALL_SCOPES.split(' ').enumerate() {
        let others: Vec<&str> = ALL_SCOPES.split(' ').filter(|other| *other != scope).collect();
        let key = key(&database, "demo", &format!("user-{number}"), &others.join(" ")).await;
        let listed = tools(&key).await;
        assert!(listed.len() < all.len(), "{scope} opens a tool");
        for tool in all.difference(&listed) {
            let text = server.call(&client, &key, tool, json!({})).await["content"][0]["text"].take();
            let text = text.as_str().unwrap();
            assert!(text.starts_with("forbidden: ") && text.contains(scope), "{tool} without {scope}: {text}");
            refused.insert(tool.clone());
        }
    }
    assert_eq!(refused, all);
}

/// What is no call in MCP's own words is told what is wrong, and leaves its row.
#[tokio::test]
async fn a_call_that_is_malformed_is_told_so_and_leaves_a_row() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "hybrid_search", "arguments": "x" } });
    let answer = reply(server.post(&client, &ada).json(&call).send().await.unwrap()).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("arguments as a JSON object"), "{answer}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'denied'").await, 1);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "prompts/get", "params": { "name": 5 } });
    let answer = reply(server.post(&client, &ada).json(&list).send().await.unwrap()).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let none = json!({ "jsonrpc": "2.0", "id": 1, "method": "documents/burn" });
    let answer = reply(server.post(&client, &ada).json(&none).send().await.unwrap()).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let broken = server
        .post(&client, &ada)
        .header("content-type", "application/json")
        .body("{\"jsonrpc\":")
        .send()
        .await
        .unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
    let answer: serde_json::Value = broken.json().await.unwrap();
    assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32700), &serde_json::Value::Null), "{answer}");
}

#[tokio::test]
async fn a_revoked_key_is_refused_within_a_second() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let client = Client::new();
    assert_eq!(server.call(&client, &ada, "tenant_status", json!({})).await["isError"], false);
    database.execute("UPDATE api_keys SET revoked_at = now()").await;
    tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
    let late = server.post(&client, &ada).json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);
}
