use bailiwick::identity::Scopes;
use rmcp::model::ReadResourceRequestParams;
use serde_json::{Value, json};

use crate::harness::{Process, Session, TestDatabase};
use crate::http::served::Served;
use crate::http::{ALL_SCOPES, key, reply};

const VIEW: &str = "ui://bailiwick/cost-report";
const ERAS: [&str; 2] = ["2025-11-25", "2026-07-28"];

/// What a host asks, in the order in which it asks it.
fn asked(era: &str, has_extension: bool) -> Vec<Value> {
    let extensions = json!({ "io.modelcontextprotocol/ui": { "mimeTypes": ["text/html;profile=mcp-app"] } });
    let capabilities = if has_extension { json!({ "extensions": extensions }) } else { json!({}) };
    let client = json!({ "name": "host", "version": "1" });
    let is_stateless = era == "2026-07-28";
    let first = if is_stateless {
        ("server/discover", json!({}))
    } else {
        ("initialize", json!({ "protocolVersion": era, "capabilities": capabilities, "clientInfo": client }))
    };
    let period = json!({ "from": "2026-01-01", "to": "2026-02-01" });
    let asked = [
        first,
        ("tools/list", json!({})),
        ("resources/list", json!({})),
        ("resources/read", json!({ "uri": VIEW })),
        ("tools/call", json!({ "name": "cost_report", "arguments": period })),
    ];
    let asked = asked.into_iter().enumerate().map(|(id, (method, mut params))| {
        if is_stateless {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": era, "io.modelcontextprotocol/clientInfo": client,
                "io.modelcontextprotocol/clientCapabilities": capabilities,
            });
        }
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    });
    asked.collect()
}

/// Checks what a host was told; the answer of the tool.
fn check(answers: &[Value], era: &str) -> Value {
    let [hello, tools, resources, read, called] = answers else { panic!("{answers:?}") };
    let extension = &hello["capabilities"]["extensions"]["io.modelcontextprotocol/ui"];
    assert_eq!(extension["mimeTypes"], json!(["text/html;profile=mcp-app"]), "{hello}");
    for tool in tools["tools"].as_array().unwrap() {
        let meta = if tool["name"] == "cost_report" { json!({ "ui": { "resourceUri": VIEW } }) } else { Value::Null };
        assert_eq!(tool["_meta"], meta, "{}", tool["name"]);
    }
    let none = json!({ "connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": [] });
    let page = include_str!("../../../views/cost-report/page.html");
    let listed = resources["resources"].as_array().unwrap().iter().find(|resource| resource["uri"] == VIEW).unwrap();
    assert_eq!(listed["size"], page.len());
    let contents = &read["contents"][0];
    assert_eq!((&contents["uri"], contents["text"].as_str()), (&json!(VIEW), Some(page)));
    for one in [listed, contents] {
        assert_eq!(one["mimeType"], "text/html;profile=mcp-app");
        assert_eq!(one["_meta"], json!({ "ui": { "csp": none, "prefersBorder": true } }));
    }
    let is_stateless = era == "2026-07-28";
    assert_eq!(read["ttlMs"].is_number() && read["cacheScope"] == "private", is_stateless, "{era}");
    let structured = &called["structuredContent"];
    let text: Value = serde_json::from_str(called["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(&text, structured, "whoever reads text reads the same");
    assert!(called["_meta"].is_null() && called["isError"] == false);
    let mut told = structured.clone();
    told.as_object_mut().unwrap().remove("duration_ms");
    told
}

async fn over_stdio(database: &TestDatabase, era: &str, has_extension: bool) -> Value {
    let mut process = Process::serve(database, "demo").await;
    let mut answers = Vec::new();
    for message in asked(era, has_extension) {
        let is_hello = message["method"] == "initialize";
        process.send(message).await;
        answers.push(process.receive().await.unwrap()["result"].take());
        if is_hello {
            process.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        }
    }
    check(&answers, era)
}

async fn over_http(served: &Served, key: &str, era: &str, has_extension: bool) -> Value {
    let client = reqwest::Client::new();
    let mut answers = Vec::new();
    for message in asked(era, has_extension) {
        let (method, params) = (message["method"].as_str().unwrap().to_owned(), message["params"].clone());
        let mut post =
            client.post(&served.url).bearer_auth(key).header("accept", "application/json, text/event-stream");
        post = post.header("mcp-protocol-version", era);
        if era == "2026-07-28" {
            post = post.header("mcp-method", &method);
            if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
                post = post.header("mcp-name", name);
            }
        }
        answers.push(reply(post.json(&message).send().await.unwrap()).await["result"].take());
    }
    check(&answers, era)
}

#[tokio::test]
async fn hosts_find_the_view_in_both_eras_and_clients_without_the_extension_are_told_the_same() {
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let mut told = Vec::new();
    for era in ERAS {
        for has_extension in [true, false] {
            told.push(over_stdio(&database, era, has_extension).await);
            told.push(over_http(&served, &ada, era, has_extension).await);
        }
    }
    assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:?}");
    let rows =
        "SELECT count(*) FROM audit_logs WHERE resource = 'resources/cost_view' AND outcome = 'ok' AND action = 'read'";
    assert_eq!(database.value::<i64>(rows).await, 8, "each look is a call with its row");
}

#[tokio::test]
async fn the_view_is_for_whoever_may_call_the_tool() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    for (scopes, listed) in [
        ("costs:read", vec![VIEW]),
        ("documents:read", vec!["bailiwick://tenant/statistics", "bailiwick://schema"]),
        ("audit:read", vec![]),
    ] {
        let scopes: Scopes = scopes.parse().unwrap();
        let may_read = listed == [VIEW];
        let session = Session::open_with(&database, &tenant, scopes, &database.call_options()).await;
        let found = session.client.list_resources(None).await.unwrap().resources;
        assert_eq!(found.iter().map(|resource| resource.uri.as_str()).collect::<Vec<_>>(), listed);
        match session.client.read_resource(ReadResourceRequestParams::new(VIEW)).await {
            Ok(_) => assert!(may_read),
            Err(error) => assert!(!may_read && error.to_string().contains("forbidden: "), "{error}"),
        }
    }
    let rows = "SELECT string_agg(outcome, ' ' ORDER BY id) FROM audit_logs WHERE resource = 'resources/cost_view'";
    assert_eq!(database.value::<String>(rows).await, "ok denied denied");
}
