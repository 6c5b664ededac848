//! What is logged of requests, and how a request is found in it.

use bailiwick::http::{HttpOptions, TrustedProxies};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::process::Command;

use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::harness::TestDatabase;

fn id_of(response: &Response) -> String {
    response.headers()["x-request-id"].to_str().unwrap().to_owned()
}

/// The request that a line of the log is about.
fn request_of(line: &Value) -> Option<&str> {
    line["spans"].as_array()?.iter().find(|span| span["name"] == "request")?["request_id"].as_str()
}

/// One good request, one that fails inside, one of a stranger, one to nowhere; their ids in this order.
async fn requests(database: &TestDatabase, served: &Served) -> Vec<String> {
    let (ada, client) = (key(database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let good = served.post(&client, &ada).json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
    assert_eq!(good.status(), 200);
    database.execute("REVOKE SELECT ON cost_tracking FROM bailiwick_app").await;
    let failed = served.post(&client, &ada).json(&tool_call(2, "cost_report", &json!({}))).send().await.unwrap();
    let stranger = served.post(&client, "nobody").json(&json!({})).send().await.unwrap();
    let nowhere = client.get(served.at("/nowhere")).send().await.unwrap();
    let ids = [&good, &failed, &stranger, &nowhere].map(id_of).to_vec();
    let text = failed.text().await.unwrap();
    assert!(text.contains("internal"), "{text}");
    ids
}

#[tokio::test]
async fn each_line_is_an_object_and_names_its_request() {
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.envs([("BAILIWICK_LOG", "trace"), ("BAILIWICK_LOG_FORMAT", "json")]);
    })
    .await;
    let ids = requests(&database, &served).await;
    let (code, lines) = served.finish().await;
    assert_eq!(code, Some(0));
    let lines: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let named =
        |line: &Value| line["target"].as_str().is_some_and(|target| !target.is_empty()) && line["level"].is_string();
    assert!(lines.iter().all(named), "{:?}", lines.iter().find(|line| !named(line)));
    let about = |id: &str| lines.iter().filter(|line| request_of(line) == Some(id)).collect::<Vec<_>>();
    for (id, status) in ids.iter().zip([200, 200, 401, 404]) {
        let answered: Vec<_> = about(id).into_iter().filter(|line| line["message"] == "answered").collect();
        assert!(answered.len() == 1 && answered[0]["status"] == status, "{id}: {answered:?}");
    }
    assert!(about(&ids[1]).iter().any(|line| line["message"] == "a call failed" && line["level"] == "ERROR"));
    assert!(about(&ids[2]).iter().any(|line| line["level"] == "WARN"), "{:?}", about(&ids[2]));
    // Whatever is told from within a call names the request that made it.
    let inside = lines
        .iter()
        .filter(|line| line["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["name"] == "call")));
    assert!(
        inside.clone().count() > 0 && inside.clone().all(|line| request_of(line).is_some()),
        "{:?}",
        inside.collect::<Vec<_>>()
    );
}

/// What the command line lacks is told as all else is, wherever it was said how.
#[tokio::test]
async fn wrong_usage_is_an_object_too() {
    let told = async |words: &[&str], format: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(words).env_remove("BAILIWICK_LOG_FORMAT");
        command.envs(format.map(|format| ("BAILIWICK_LOG_FORMAT", format)));
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (words, format) in [
        (&["serve", "--no-such-flag", "--log-format", "json"][..], None),
        (&["--log-format=json", "no-such-command"], None),
        (&["serve", "--no-such-flag", "--log-format", "json"], Some("text")),
        (&["serve", "--no-such-flag"], Some("json")),
    ] {
        let line: Value = serde_json::from_str(&told(words, format).await).unwrap();
        assert!(
            line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("no-such-"),
            "{words:?}: {line}"
        );
    }
    for (words, format) in [
        (&["serve", "--no-such-flag"][..], None),
        (&["serve", "--no-such-flag", "--log-format", "text"], Some("json")),
        (&["serve", "--no-such-flag", "--log-format"], None),
    ] {
        let text = told(words, format).await;
        assert!(text.starts_with("error: "), "{words:?}: {text}");
    }
}

#[tokio::test]
async fn a_warning_names_its_request_where_only_warnings_are_wanted() {
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        // Otherwise it does not say where it serves.
        command.env("BAILIWICK_LOG", "warn");
    })
    .await;
    let ids = requests(&database, &served).await;
    let (_, lines) = served.finish().await;
    for (id, words) in [(&ids[1], "a call failed"), (&ids[2], "without a good credential")] {
        let told = lines.iter().filter(|line| line.contains(words)).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].contains(id.as_str()), "{id}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("answered")), "{lines:#?}");
}

#[tokio::test]
async fn only_a_trusted_proxy_gives_a_request_its_id() {
    let database = TestDatabase::create().await;
    let trusted = TrustedProxies::new(vec!["127.0.0.1".parse().unwrap()]);
    let behind = HttpServer::start(&database, HttpOptions { trusted_proxies: trusted, ..HttpOptions::default() }).await;
    let bare = HttpServer::start(&database, HttpOptions::default()).await;
    let client = Client::new();
    let answered = async |server: &HttpServer, id: &str| {
        id_of(&client.get(server.url("/healthz")).header("x-request-id", id).send().await.unwrap())
    };
    assert_eq!(answered(&behind, "trace-7.a_B").await, "trace-7.a_B");
    for (server, id) in
        [(&bare, "trace-7.a_B"), (&behind, ""), (&behind, "a b"), (&behind, "a\tb"), (&behind, &"a".repeat(65))]
    {
        let ours = answered(server, id).await;
        assert!(ours.parse::<uuid::Uuid>().is_ok(), "{id:?}: {ours}");
    }
    assert_ne!(answered(&bare, "x").await, answered(&bare, "x").await);
}
