//! No text of documents or queries, no key, token or password is in what the server tells, at whatever level it is asked to.

use bailiwick::db::{Deadlines, Door, Pool, PoolOptions};
use bailiwick::identity::{ApiKey, Caller, Scopes, UserId};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;

use super::served::Served;
use super::traces::Collector;
use super::{ALL_SCOPES, key};
use crate::harness::{Process, TestDatabase};

/// What every planted text holds; the parts tell where a leak came from.
const MARK: &str = "canary";

/// Filters that ask for all there is, of whomever.
const LOUD: [&str; 2] = [
    "trace",
    "trace,bailiwick=trace,rmcp=trace,tokio_postgres=trace,deadpool=trace,hyper=trace,hyper_util=trace,axum=trace,tower_http=trace,reqwest=trace,opentelemetry=trace,opentelemetry_sdk=trace,opentelemetry_otlp=trace,log=trace",
];

fn planted(place: &str) -> String {
    format!("{MARK}-{place}-{MARK}")
}

/// Messages with a canary in each of their fields: good calls, refused ones, and such as are no calls.
fn messages() -> Vec<Value> {
    let call = |tool: &str, arguments: Value| {
        let meta = json!({ "traceparent": planted("traceparent"), "baggage": planted("baggage"), "io.modelcontextprotocol/clientInfo": { "name": planted("client"), "version": planted("version") } });
        json!({ "jsonrpc": "2.0", "id": planted("id"), "method": "tools/call", "params": { "name": tool, "arguments": arguments, "_meta": meta } })
    };
    let document = json!({
        "title": planted("title"), "content": planted("content"), "source": planted("source"),
        "metadata": { planted("metadata-name"): planted("metadata") }, "idempotency_key": planted("idempotency"),
    });
    let mut other = document.clone();
    other["content"] = json!(planted("other-content"));
    vec![
        call("insert_document", document),
        call("insert_document", other),
        call(
            "insert_document",
            json!({ "title": planted("title"), "content": planted("content"), "embedding": [planted("embedding")] }),
        ),
        call(
            "insert_document",
            json!({ "title": planted("title"), "content": planted("content"), "language": planted("language") }),
        ),
        call("hybrid_search", json!({ "query": planted("query"), "explain": true })),
        call("hybrid_search", json!({ "query": format!("\"{}\" -{}", planted("phrase"), planted("excluded")) })),
        call(
            "hybrid_search",
            json!({ "query": planted("query"), "filter": { "metadata": { "a": planted("filter") }, "source": planted("filter-source") } }),
        ),
        call("hybrid_search", json!({ "query": planted("query"), "filter": { "created_after": planted("date") } })),
        call("hybrid_search", json!({ planted("unknown-field"): planted("unknown-value") })),
        call("hybrid_search", json!({ "query": { "nested": planted("wrong-type") } })),
        call(
            "record_usage",
            json!({ "model_name": planted("model"), "provider": planted("provider"), "input_tokens": 1, "output_tokens": 1 }),
        ),
        call(
            "record_usage",
            json!({ "model_name": "gpt-4o", "provider": "openai", "input_tokens": 1, "output_tokens": 1, "operation": planted("operation"), "metadata": { "note": planted("note") } }),
        ),
        call("search_audit_log", json!({ "user": planted("searched-user"), "action": planted("action") })),
        call("search_audit_log", json!({ "cursor": planted("cursor") })),
        call(&planted("tool"), json!({ "x": planted("argument") })),
        json!({ "jsonrpc": "2.0", "id": planted("id"), "method": planted("method"), "params": { "x": planted("parameter") } }),
        json!({ "jsonrpc": "2.0", "method": planted("notification"), "params": { "x": planted("parameter") } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": planted("cancelled"), "reason": planted("reason") } }),
        json!({ "jsonrpc": "2.0", "id": planted("answer-id"), "result": { "x": planted("result") } }),
        json!({ "jsonrpc": planted("jsonrpc"), "x": planted("rubbish") }),
    ]
}

/// With a password that the tests' PostgreSQL does not ask for.
async fn url_with_password(database: &TestDatabase) -> String {
    let url = database.url("bailiwick_app").await;
    url.replace("bailiwick_app@", &format!("bailiwick_app:{}@", planted("password")))
}

fn loud<'a>(command: &'a mut Command, filter: &str, format: &str) -> &'a mut Command {
    command.env("BAILIWICK_LOG", filter).env("RUST_LOG", "trace").env("BAILIWICK_LOG_FORMAT", format)
}

fn assert_silent(told: &str, secrets: &[&str]) {
    for secret in secrets.iter().chain(&[MARK]) {
        let line = told.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is told");
    }
}

#[tokio::test]
async fn nothing_of_what_callers_over_http_say_is_told_at_any_level() {
    for (filter, format) in LOUD.into_iter().zip(["text", "json"]) {
        let (database, collector) = (TestDatabase::create().await, Collector::start().await);
        let url = url_with_password(&database).await;
        let served = Served::start_with(&database, |command| {
            loud(command, filter, format)
                .env("BAILIWICK_DATABASE_URL", url)
                .env("BAILIWICK_METRICS_TOKEN", planted("metrics-token"));
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
            command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-token={}", planted("collector-token")));
        })
        .await;
        let (ada, client) = (key(&database, "demo", &planted("user"), ALL_SCOPES).await, Client::new());
        let stranger = ApiKey::generate().unwrap().expose().to_owned();
        let mut answers = 0;
        for version in ["2025-11-25", "2026-07-28"] {
            for message in messages() {
                let request = client.post(format!("{}?token={}", served.url, planted("url"))).bearer_auth(&ada);
                let request = request
                    .header("accept", "application/json, text/event-stream")
                    .header("mcp-protocol-version", version);
                let request =
                    request.header("mcp-method", planted("mcp-method")).header("mcp-name", planted("mcp-name"));
                let plain = served
                    .post(&client, &ada)
                    .header("user-agent", planted("agent"))
                    .json(&message)
                    .send()
                    .await
                    .unwrap();
                answers += usize::from(plain.text().await.unwrap().contains(MARK));
                request.header("tracestate", planted("tracestate")).json(&message).send().await.unwrap();
            }
        }
        assert!(answers > 10, "the canaries sing to their owner: {answers}");
        for body in [planted("no-json"), format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}", planted("half"))] {
            served.post(&client, &ada).header("content-type", "application/json").body(body).send().await.unwrap();
        }
        let refused = [
            client.post(&served.url).bearer_auth(planted("bearer")),
            client.post(&served.url).bearer_auth(&stranger).header("cookie", planted("cookie")),
            client.post(&served.url).basic_auth(planted("basic"), Some(planted("basic-password"))),
            client
                .post(&served.url)
                .header("x-api-key", &ada)
                .header("origin", format!("https://{}", planted("origin"))),
            client.get(served.at(&format!("/{}", planted("path")))).header("host", planted("host")),
            client.get(served.at("/metrics")).bearer_auth(planted("wrong-metrics-token")),
            client.get(served.at("/metrics")).bearer_auth(planted("metrics-token")),
            client.request(planted("METHOD").to_uppercase().parse().unwrap(), served.at("/healthz")),
        ];
        for request in refused {
            request.send().await.unwrap();
        }
        // A call that fails inside is told of, but not what it was about.
        database.execute("REVOKE INSERT ON documents FROM bailiwick_app").await;
        served.post(&client, &ada).json(&messages()[2]).send().await.unwrap();
        served.post(&client, &ada).json(&messages()[3]).send().await.unwrap();
        database.execute("ALTER TABLE document_chunks RENAME TO mislaid").await;
        served.post(&client, &ada).json(&messages()[4]).send().await.unwrap();
        let (code, lines) = served.finish().await;
        assert_eq!(code, Some(0));
        let told = lines.join("\n");
        assert!(told.contains("answered") && told.contains("a call failed"), "it was loud: {told}");
        assert_silent(&told.replace(&planted("METHOD").to_uppercase(), MARK), &[&ada, &stranger]);
        let traces = collector.text().replace(&format!("\"x-token\": \"{}\"", planted("collector-token")), "");
        assert!(traces.contains("tools/call") || traces.contains("POST /mcp"));
        assert_silent(&traces, &[&ada, &stranger]);
    }
}

#[tokio::test]
async fn nor_what_a_client_over_stdio_says() {
    for (filter, format) in LOUD.into_iter().zip(["json", "text"]) {
        let database = TestDatabase::create().await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        loud(&mut command, filter, format)
            .env("BAILIWICK_DATABASE_URL", url_with_password(&database).await)
            .env("BAILIWICK_TENANT", "demo");
        let mut process = Process::spawn(command);
        process.initialize().await;
        for message in messages() {
            process.send(message).await;
        }
        process.line(&planted("no-json")).await;
        let (_, answers, stderr) = process.finish().await;
        assert!(serde_json::to_string(&answers).unwrap().contains(MARK), "the canaries sing to their owner");
        assert!(stderr.contains("serving"), "{stderr}");
        assert_silent(&stderr, &[]);
    }
}

#[tokio::test]
async fn nor_the_password_of_a_database_that_cannot_be_reached_or_named() {
    let secret = planted("password");
    for url in [
        format!("postgresql://bailiwick_app:{secret}@127.0.0.1:1/x"),
        format!("postgresql://bailiwick_app:{secret}@nowhere.invalid/x?sslmode=rubbish"),
        format!("postgres//bailiwick_app:{secret}@x"),
        format!("host=127.0.0.1 port=1 user=x password={secret}"),
        format!("postgresql://x:y@{secret}?{secret}=1@127.0.0.1:1/x"),
        format!("postgresql://x:y@{secret}@127.0.0.1:1/x"),
    ] {
        for (name, other) in [
            ("BAILIWICK_DATABASE_URL", "BAILIWICK_ADMIN_DATABASE_URL"),
            ("BAILIWICK_ADMIN_DATABASE_URL", "BAILIWICK_DATABASE_URL"),
        ] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
            loud(&mut command, "trace", "text")
                .args(["serve", "--http", "127.0.0.1:0"])
                .env(name, &url)
                .env(other, "postgresql://x@127.0.0.1:1/x");
            let output = command.output().await.unwrap();
            let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(!output.status.success() && told.contains("error: "), "{url}: {told}");
            assert_silent(&told, &[]);
        }
    }
}

#[tokio::test]
async fn an_error_of_the_database_does_not_repeat_the_value_that_it_is_about() {
    let database = TestDatabase::create().await;
    let pool = Pool::new(database.app().clone(), &PoolOptions { size: 1, ..PoolOptions::default() }).unwrap();
    let door = Door::new(pool, Deadlines::default());
    let tenant_id = database.tenant("demo").await.id;
    let caller = Caller { tenant_id, user_id: UserId::parse("ada").unwrap(), scopes: Scopes::all() };
    let text = format!("{} \" '& {}", planted("a"), planted("b"));
    for sql in [
        "SELECT $1::text::integer",
        "SELECT $1::text::timestamptz",
        "SELECT $1::text::uuid",
        "SELECT $1::text::jsonb",
        "SELECT $1::text::vector",
        "SELECT $1::text::tsquery",
    ] {
        let transaction = door.open(&caller).await.unwrap();
        let error = transaction.query(sql, &[&text]).await.unwrap_err();
        assert_silent(&error.to_string(), &[]);
        assert!(error.to_string().contains('('), "{error}");
    }
}
