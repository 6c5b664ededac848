//! HTTP+SSE of 2024-11-05: the same identity, bounds and trail as everywhere.

use std::time::{Duration, Instant};

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::issuer::{TestIssuer, now};
use super::listening::{Listening, open};
use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::audit::tools::Ending;
use crate::harness::{TestDatabase, asleep, until};

fn options() -> HttpOptions {
    HttpOptions { legacy_sse: true, ..HttpOptions::default() }
}

async fn audited(database: &TestDatabase) -> String {
    let rows = "SELECT coalesce(string_agg(outcome || ' ' || n, ', ' ORDER BY outcome), '') FROM (SELECT outcome, count(*) AS n FROM audit_logs GROUP BY 1) AS o";
    database.value::<String>(rows).await
}

#[tokio::test]
async fn calls_are_answered_on_the_stream_each_as_whom_its_own_message_says() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, options()).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let mut stream = Listening::start(&client, &server.url(""), &ada).await;
    stream.introduce().await;
    assert_eq!(stream.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await, StatusCode::ACCEPTED);
    let listed = stream.answer().await["result"]["tools"].as_array().unwrap().len();
    assert_eq!(listed, Toolbox::new(&model()).scopes().count());
    stream.post(&tool_call(2, "insert_document", &json!({ "title": "t", "content": "two\nlines\r\nof text" }))).await;
    assert_eq!(stream.answer().await["result"]["isError"], false);
    // Another key of the same user speaks on her stream, with its own scopes.
    let reader = key(&database, "demo", "ada", "documents:read").await;
    assert_eq!(stream.post_as(&reader, &tool_call(3, "cost_report", &json!({}))).await, StatusCode::ACCEPTED);
    let denied = stream.answer().await;
    assert!(denied["result"]["content"][0]["text"].as_str().unwrap().starts_with("forbidden: "), "{denied}");
    assert_eq!(audited(&database).await, "denied 1, ok 1");
    let address = "SELECT string_agg(DISTINCT host(ip_address), ' ') FROM audit_logs";
    assert_eq!(database.value::<String>(address).await, "127.0.0.1");
}

#[tokio::test]
async fn somebody_elses_stream_looks_unknown() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, options()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let others = [
        key(&database, "enterprise", "ada", ALL_SCOPES).await,
        key(&database, "demo", "bob", ALL_SCOPES).await,
        key(&database, "enterprise", "eve", ALL_SCOPES).await,
    ];
    let client = Client::new();
    let mut stream = Listening::start(&client, &server.url(""), &ada).await;
    stream.introduce().await;
    let call = tool_call(1, "tenant_status", &json!({}));
    let mut told = Vec::new();
    for other in &others {
        let to = async |endpoint: &str| {
            let post = client.post(server.url(endpoint)).bearer_auth(other).json(&call).send().await.unwrap();
            (post.status(), post.text().await.unwrap())
        };
        told.push(to(&stream.endpoint).await);
        for nowhere in
            ["/messages?sessionId=01234567-89ab-4def-8123-456789abcdef", "/messages?sessionId=x", "/messages"]
        {
            told.push(to(nowhere).await);
        }
    }
    let unknown = (StatusCode::NOT_FOUND, "there is no such stream: open one at /sse".to_owned());
    assert!(told.iter().all(|answer| *answer == unknown), "{told:?}");
    let nobody = client.post(server.url(&stream.endpoint)).json(&call).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    // Nothing of all that has reached it.
    stream.post(&tool_call(2, "tenant_status", &json!({}))).await;
    assert_eq!(stream.answer().await["id"], 2);
    assert_eq!(audited(&database).await, "ok 1");
    let endpoint = stream.endpoint.clone();
    drop(stream);
    let late = async || client.post(server.url(&endpoint)).bearer_auth(&ada).json(&call).send().await.unwrap();
    until("a stream that has ended is none", async || late().await.status() == StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_credential() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let server = HttpServer::start_all(&database, options(), Toolbox::new(&model()), Some(issuer.options())).await;
    let client = Client::new();
    let (ada, bob) = (key(&database, "demo", "ada", ALL_SCOPES).await, key(&database, "demo", "bob", ALL_SCOPES).await);
    let claims = |tenant: &str, expires_in: i64| {
        let mut claims = issuer.claims(tenant, ALL_SCOPES);
        claims["exp"] = (now() + expires_in).into();
        issuer.token(&claims)
    };
    let mut of_key = Listening::start(&client, &server.url(""), &ada).await;
    let mut of_other = Listening::start(&client, &server.url(""), &bob).await;
    let mut of_short = Listening::start(&client, &server.url(""), &claims("demo", -25)).await;
    let mut of_tenant = Listening::start(&client, &server.url(""), &claims("enterprise", 300)).await;
    let ended = async |stream: &mut Listening| {
        let begun = Instant::now();
        stream.end().await;
        begun.elapsed()
    };
    database.execute("UPDATE api_keys SET revoked_at = now() WHERE user_id = 'ada'").await;
    let took = ended(&mut of_key).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    database.execute("UPDATE tenants SET status = 'deleted' WHERE slug = 'enterprise'").await;
    let took = ended(&mut of_tenant).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    let took = ended(&mut of_short).await;
    assert!(took < Duration::from_secs(12), "{took:?}");
    of_other.introduce().await;
}

#[tokio::test]
async fn a_stream_that_closes_takes_its_calls_back() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start_with(&database, options(), Toolbox::empty().with(Ending)).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let mut stream = Listening::start(&client, &server.url(""), &ada).await;
    stream.introduce().await;
    for id in 0..2 {
        stream.post(&tool_call(id, "ending", &json!({ "end": "slow statement" }))).await;
    }
    until("the calls run", async || asleep(&database).await == 2).await;
    drop((stream, client));
    until("both have ended", async || database.value::<i64>("SELECT count(*) FROM audit_logs").await == 2).await;
    assert_eq!(audited(&database).await, "cancelled 2");
    assert_eq!(asleep(&database).await, 0);
}

#[tokio::test]
async fn messages_are_bounded_and_must_be_messages() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { requests_per_minute: 0, ..options() };
    let server = HttpServer::start_with(&database, options, Toolbox::empty().with(Ending)).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let mut stream = Listening::start(&client, &server.url(""), &ada).await;
    stream.introduce().await;
    let post = |kind: &'static str, body: &'static str| {
        let post = client.post(server.url(&stream.endpoint)).bearer_auth(&ada).header("content-type", kind);
        async move { post.body(body).send().await.unwrap().status() }
    };
    let ping = r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#;
    assert_eq!(post("text/plain", ping).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for rubbish in ["", "{", "[]", "null", r#"{"id":1}"#, "\u{0}"] {
        assert_eq!(post("application/json", rubbish).await, StatusCode::BAD_REQUEST, "{rubbish:?}");
    }
    assert_eq!(post("application/json; charset=utf-8", ping).await, StatusCode::ACCEPTED);
    assert_eq!(stream.answer().await["id"], "p");
    // One more of an id that is under way could not be told from the other.
    let slow = |id: i64| tool_call(id, "ending", &json!({ "end": "slow statement" }));
    assert_eq!(stream.post(&slow(0)).await, StatusCode::ACCEPTED);
    assert_eq!(stream.post(&slow(0)).await, StatusCode::BAD_REQUEST);
    let mut statuses = Vec::new();
    for id in 1..70 {
        statuses.push(stream.post(&slow(id)).await);
    }
    let accepted = statuses.iter().filter(|status| **status == StatusCode::ACCEPTED).count();
    let refused = statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((accepted, refused), (63, 6), "{statuses:?}");
    // Nor may what is under way hold more than so many bytes.
    let mut other = Listening::start(&client, &server.url(""), &ada).await;
    other.introduce().await;
    let large = |id: i64| tool_call(id, "ending", &json!({ "end": "slow statement", "padding": "x".repeat(9 << 20) }));
    let mut statuses = Vec::new();
    for id in 0..2 {
        statuses.push(other.post(&large(id)).await);
    }
    assert_eq!(statuses, [StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS]);
    // Taking one back makes room for another.
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(stream.post(&cancel).await, StatusCode::ACCEPTED);
    assert_eq!(stream.post(&slow(99)).await, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn streams_are_bounded_and_say_that_they_are_there() {
    let database = TestDatabase::create().await;
    let options = HttpOptions {
        most_streams: 5,
        most_streams_of_principal: 3,
        keep_alive: Duration::from_millis(100),
        ..options()
    };
    let server = HttpServer::start(&database, options).await;
    let (ada, eve) =
        (key(&database, "demo", "ada", ALL_SCOPES).await, key(&database, "enterprise", "eve", ALL_SCOPES).await);
    let (client, base) = (Client::new(), server.url(""));
    let mut streams = Vec::new();
    for key in [&ada, &ada, &ada, &eve] {
        streams.push(Listening::start(&client, &base, key).await);
    }
    let refused = open(&client, &base, &ada).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"5".parse().unwrap())
    );
    streams.push(Listening::start(&client, &base, &eve).await);
    let refused = open(&client, &base, &eve).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
    // An answer as a stream needs a place as well; as JSON it needs none.
    let ask = async |accept: &str| {
        let post = client.post(server.url("/mcp")).bearer_auth(&ada).header("accept", accept);
        let answer = post.json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
        let (status, kind) = (answer.status(), answer.headers()["content-type"].clone());
        // Heard to its end: whoever turns away takes the call back.
        let text = answer.text().await.unwrap();
        assert!(status != StatusCode::OK || (kind == accept && text.contains(r#""isError":false"#)), "{kind:?} {text}");
        status
    };
    assert_eq!(ask("text/event-stream").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("application/json").await, StatusCode::OK);
    for stream in &mut streams {
        assert_eq!(stream.hear().await.unwrap().event, "comment");
    }
    drop(streams);
    until("places come back", async || ask("text/event-stream").await == StatusCode::OK).await;
    for _ in 0..20 {
        until("a place comes back", async || open(&client, &base, &eve).await.status() == StatusCode::OK).await;
    }
    assert_eq!(audited(&database).await, "ok 2");
}

#[tokio::test]
async fn a_server_that_ends_answers_what_runs_and_ends_its_streams() {
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.arg("--legacy-sse");
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let mut stream = Listening::start(&client, &served.at(""), &ada).await;
    stream.introduce().await;
    let mut idle = Listening::start(&client, &served.at(""), &ada).await;
    stream.post(&tool_call(1, "tenant_status", &json!({}))).await;
    assert_eq!(stream.answer().await["id"], 1);
    served.ask_to_end();
    stream.end().await;
    idle.end().await;
    let (code, lines) = served.ended().await;
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("in time are cut")), "they ended by themselves: {lines:?}");
}

#[tokio::test]
async fn whoever_introduces_himself_with_anything_else_is_sent_away_and_leaves_nothing() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, options()).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let mut stream = Listening::start(&client, &server.url(""), &ada).await;
    let early = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(stream.post(&early).await, StatusCode::ACCEPTED);
    stream.end().await;
    let mut stream = Listening::start(&client, &server.url(""), &ada).await;
    stream.post(&tool_call(1, "tenant_status", &json!({}))).await;
    let refused: Value = stream.answer().await;
    assert!(refused["error"].is_object(), "{refused}");
    assert_eq!(audited(&database).await, "");
}

#[tokio::test]
async fn without_the_flag_there_is_no_such_route() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    assert_eq!(open(&Client::new(), &server.url(""), &ada).await.status(), StatusCode::NOT_FOUND);
}
