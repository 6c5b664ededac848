//! Several messages in one body, which clients of 2025-03-26 may send; and what is no message at all.

use std::collections::BTreeSet;

use bailiwick::http::HttpOptions;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::harness::TestDatabase;

const JSON: &str = "application/json, text/event-stream";
const EVENTS: &str = "text/event-stream";

fn post(server: &HttpServer, key: &str, accept: &str) -> RequestBuilder {
    let post = Client::new().post(server.url("/mcp")).bearer_auth(key).header("accept", accept);
    post.header("content-type", "application/json")
}

/// Three calls, one of no such tool, a list, a notification, and two that are no messages.
fn batch() -> Value {
    json!([
        tool_call(1, "tenant_status", &json!({})),
        { "jsonrpc": "2.0", "method": "notifications/initialized" },
        { "jsonrpc": "2.0", "id": "two", "method": "tools/call", "params": { "name": "hybrid_search", "arguments": { "query": "x" } } },
        { "jsonrpc": "2.0", "id": 3, "method": "tools/list" },
        tool_call(4, "no_such_tool", &json!({})),
        { "jsonrpc": "2.0", "id": 1.5, "method": "ping" },
        { "id": 6, "method": "ping" },
        { "jsonrpc": "2.0", "id": 7, "result": {} },
    ])
}

/// Each answer is told by its id, and says what it should.
fn assert_answered(answers: &[Value]) {
    let of =
        |id: Value| answers.iter().find(|answer| answer["id"] == id).unwrap_or_else(|| panic!("{id}: {answers:?}"));
    assert_eq!(answers.len(), 6, "{answers:#?}");
    assert_eq!(of(json!(1))["result"]["isError"], false);
    assert_eq!(of(json!("two"))["result"]["structuredContent"]["results"], json!([]));
    assert!(of(json!(3))["result"]["tools"].as_array().unwrap().len() > 5);
    assert_eq!(of(json!(4))["error"]["code"], -32602);
    assert_eq!(of(Value::Null)["error"]["code"], -32600);
    assert_eq!(of(json!(6))["error"]["code"], -32600);
}

async fn rows(database: &TestDatabase) -> i64 {
    database.value("SELECT count(*) FROM audit_logs").await
}

#[tokio::test]
async fn each_message_of_a_batch_is_answered_as_if_it_had_come_alone() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    for (round, named) in [None, Some("2025-03-26")].into_iter().enumerate() {
        let mut request = post(&server, &ada, JSON).body(batch().to_string());
        if let Some(version) = named {
            request = request.header("mcp-protocol-version", version);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_answered(&response.json::<Vec<Value>>().await.unwrap());
        assert_eq!(rows(&database).await, 3 * (round as i64 + 1), "each call has its own row");
    }
    let of_each =
        "SELECT count(*) FROM (SELECT action, resource FROM audit_logs GROUP BY 1, 2 HAVING count(*) = 2) each";
    assert_eq!(database.value::<i64>(of_each).await, 3);
}

#[tokio::test]
async fn a_batch_may_be_answered_as_events_and_what_is_told_on_the_way_comes_too() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let response = post(&server, &ada, EVENTS).body(batch().to_string()).send().await.unwrap();
    assert_eq!((response.status(), &response.headers()["content-type"]), (StatusCode::OK, &EVENTS.parse().unwrap()));
    let text = response.text().await.unwrap();
    let answers: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data:")))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_answered(&answers);
    assert_eq!(rows(&database).await, 3);
    let nothing = json!([{ "jsonrpc": "2.0", "method": "notifications/initialized" }, { "jsonrpc": "2.0", "id": 1, "result": {} }]);
    for accept in [JSON, EVENTS] {
        let response = post(&server, &ada, accept).body(nothing.to_string()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "nothing is asked");
    }
}

#[tokio::test]
async fn other_batches_are_refused_in_words_and_run_nothing() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions { requests_per_minute: 120, ..HttpOptions::default() }).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let call = |id: i64| tool_call(id, "tenant_status", &json!({}));
    let told = async |response: Response| {
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let told: Value = response.json().await.unwrap();
        assert_eq!(told["id"], Value::Null);
        (told["error"]["code"].as_i64().unwrap(), told["error"]["message"].as_str().unwrap().to_owned())
    };
    for version in ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28"] {
        let request = post(&server, &ada, JSON).header("mcp-protocol-version", version);
        let (code, why) = told(request.body(json!([call(1)]).to_string()).send().await.unwrap()).await;
        assert!(code == -32600 && why.starts_with("a batch is not taken"), "{version}: {code} {why}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let mut newer = call(1);
    newer["params"]["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    let hello = json!({ "jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {} });
    for (body, expected, words) in [
        ("[]".to_owned(), -32600, "1 to 50 messages"),
        (json!((0..51).map(call).collect::<Vec<_>>()).to_string(), -32600, "1 to 50 messages"),
        (json!([call(1), hello]).to_string(), -32600, "comes alone"),
        (json!([call(1), call(1)]).to_string(), -32600, "each id once"),
        (json!([call(2), newer]).to_string(), -32600, "of another revision"),
        (format!("[{}", call(1)), -32700, "not JSON"),
        (format!("[{}", "[".repeat(100_000)), -32700, "not JSON"),
    ] {
        let (code, why) = told(post(&server, &ada, JSON).body(body).send().await.unwrap()).await;
        assert!(code == expected && why.contains(words), "{words}: {code} {why}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    // As many at once as ten requests.
    let many = |count: i64| json!((0..count).map(call).collect::<Vec<_>>()).to_string();
    for count in [11, 20] {
        let (code, why) = told(post(&server, &ada, JSON).body(many(count)).send().await.unwrap()).await;
        assert!(code == -32600 && why.contains("at most 10 messages"), "{count}: {code} {why}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    assert_eq!(rows(&database).await, 0);
}

#[tokio::test]
async fn a_batch_that_comes_too_soon_is_let_in_when_it_was_told_to_come_again() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions { requests_per_minute: 120, ..HttpOptions::default() }).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let messages: Vec<_> = (0..10).map(|id| tool_call(id, "tenant_status", &json!({}))).collect();
    let send =
        async |count: usize| post(&server, &ada, JSON).body(json!(messages[..count]).to_string()).send().await.unwrap();
    assert_eq!(send(6).await.status(), StatusCode::OK);
    let refused = send(10).await;
    assert_eq!((refused.status(), rows(&database).await), (StatusCode::TOO_MANY_REQUESTS, 6));
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    assert_eq!((send(10).await.status(), rows(&database).await), (StatusCode::OK, 16));
}

#[tokio::test]
async fn each_message_of_a_batch_is_judged_as_it_came() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let call = r#""params":{"name":"tenant_status","arguments":{}}"#;
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let body = format!(
        r#"[{{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call",{call}}},
            {{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{}},{call}}},
            {{"jsonrpc":"2.0","id":3,"method":"ping","params":{{"a":{deep}}}}},
            {{"jsonrpc":"2.0","id":4,"method":"ping"}}]"#
    );
    let response = post(&server, &ada, JSON).body(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let answers: Vec<Value> = response.json().await.unwrap();
    let told: Vec<_> = answers.iter().map(|answer| (answer["id"].clone(), answer["error"]["code"].clone())).collect();
    let invalid = json!(-32600);
    let expected =
        [(Value::Null, invalid.clone()), (Value::Null, invalid.clone()), (json!(3), invalid), (json!(4), Value::Null)];
    assert_eq!(told, expected, "{answers:#?}");
    assert_eq!(rows(&database).await, 0, "a name given twice ran something");
}

#[tokio::test]
async fn a_batch_begins_nothing_more_once_its_answers_are_as_much_as_may_wait() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { most_unread_bytes_of_principal: 100_000, ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let arguments = json!({ "title": "long", "content": "word ".repeat(60_000) });
    let inserted = server.call(&Client::new(), &ada, "insert_document", arguments).await;
    let get = json!({ "document_id": inserted["structuredContent"]["document_id"] });
    let messages: Vec<_> = (0..20).map(|id| tool_call(id, "get_document", &get)).collect();
    let response = post(&server, &ada, JSON).body(json!(messages).to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let answers: Vec<Value> = response.json().await.unwrap();
    assert!(answers.iter().enumerate().all(|(id, answer)| answer["id"] == json!(id)), "each is told of");
    let (given, refused): (Vec<&Value>, Vec<&Value>) = answers.iter().partition(|answer| answer["error"].is_null());
    assert_eq!((given.len(), refused.len()), (1, 19), "two are more than may wait");
    assert!(refused.iter().all(|answer| answer["error"]["code"] == -32000), "{refused:?}");
    let begun = rows(&database).await - 1;
    let not_begun = refused.iter().filter(|it| it["error"]["message"].as_str().unwrap().starts_with("not begun"));
    assert_eq!(begun, 20 - not_begun.count() as i64, "what is told is so");
    // Four at once, and those that took the place of the one that was given.
    assert!(begun <= 8, "{begun} were begun");
}

/// What is told on the way needs a stream: where there is none each call is answered all the same, and by its answer alone.
#[tokio::test]
async fn calls_that_tell_how_far_they_are_are_answered_in_an_array_too() {
    let database = TestDatabase::create().await;
    let toolbox = bailiwick::mcp::Toolbox::empty().with(crate::audit::tools::Ending);
    let server = HttpServer::start_with(&database, HttpOptions::default(), toolbox).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let telling = |id: i64, token: Value| {
        let mut call = tool_call(id, "ending", &json!({ "end": "telling" }));
        call["params"]["_meta"] = json!({ "progressToken": token, "kept": true });
        call
    };
    let body = json!([telling(1, json!("a")), telling(2, json!(7)), { "jsonrpc": "2.0", "id": 3, "method": "ping" }]);
    let response = post(&server, &ada, JSON).body(body.to_string()).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let answers: Vec<Value> = response.json().await.unwrap();
    assert_eq!(answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(), [json!(1), json!(2), json!(3)]);
    assert!(answers[..2].iter().all(|answer| answer["result"]["isError"] == false), "{answers:#?}");
    assert_eq!(answers[2]["result"], json!({}));
    // Where there is one all is heard.
    let text = post(&server, &ada, EVENTS).body(body.to_string()).send().await.unwrap().text().await.unwrap();
    let heard: Vec<Value> = text
        .split("\n\n")
        .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data:")))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let of = |token: Value| heard.iter().filter(|it| it["params"]["progressToken"] == token).count();
    assert_eq!((of(json!("a")), of(json!(7)), heard.len()), (2, 2, 7), "{heard:#?}");
    assert_eq!(rows(&database).await, 4);
}

#[tokio::test]
async fn what_is_no_message_is_told_so_and_not_that_its_media_type_is_wrong() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let nul = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"#.to_owned() + "\u{0}}";
    for accept in [JSON, EVENTS] {
        for (body, code, id) in [
            (r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":{},"method":"tools/list"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":99999999999999999999,"method":"tools/list"}"#, -32600, Value::Null),
            (r#"{"id":1,"method":"tools/list"}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"1.0","id":"a","method":"tools/list"}"#, -32600, json!("a")),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[1]}"#, -32602, json!(1)),
            (&deep, -32600, json!(1)),
            (&nul, -32700, Value::Null),
            ("7", -32600, Value::Null),
            ("{", -32700, Value::Null),
            ("", -32700, Value::Null),
        ] {
            let response = post(&server, &ada, accept).body(body.to_owned()).send().await.unwrap();
            let shown: String = body.chars().take(80).collect();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{shown}");
            let told: Value = response.json().await.unwrap();
            assert_eq!(
                (&told["jsonrpc"], &told["error"]["code"], &told["id"]),
                (&json!("2.0"), &json!(code), &id),
                "{shown}: {told}"
            );
        }
    }
    let text = Client::new().post(server.url("/mcp")).bearer_auth(&ada).header("content-type", "text/plain");
    let response = text.body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // Nobody is told about a body whose host is none of ours.
    for body in ["{", "[]"] {
        let response = post(&server, &ada, JSON).header("host", "evil.example").body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(rows(&database).await, 0);
}

#[tokio::test]
async fn each_call_of_a_barred_tenant_s_batch_has_its_row() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    database.execute("UPDATE tenants SET status = 'suspended' WHERE slug = 'demo'").await;
    let response = post(&server, &ada, JSON).body(batch().to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let resources = "SELECT string_agg(resource, ' ' ORDER BY resource) FROM audit_logs WHERE outcome = 'denied'";
    let told: String = database.value(resources).await;
    let expected = BTreeSet::from(["tools/hybrid_search", "tools/tenant_status", "tools/unknown"]);
    assert_eq!(told.split(' ').collect::<BTreeSet<_>>(), expected);
    assert_eq!(rows(&database).await, 3);
}
