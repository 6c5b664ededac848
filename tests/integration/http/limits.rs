//! Who asks too often, and a server that is coming to its end.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use reqwest::{Client, StatusCode};
use serde_json::json;

use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, reply, tool_call};
use crate::harness::{TestDatabase, under_way, until};

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_come_again_and_nobody_else_is() {
    let database = TestDatabase::create().await;
    // One in two seconds and a half, two at once: while a loaded machine asks a few more, nothing comes back.
    let server = HttpServer::start(&database, HttpOptions { requests_per_minute: 24, ..HttpOptions::default() }).await;
    let (ada, again) =
        (key(&database, "demo", "ada", ALL_SCOPES).await, key(&database, "demo", "ada", "documents:read").await);
    let others =
        [key(&database, "demo", "bob", ALL_SCOPES).await, key(&database, "enterprise", "ada", ALL_SCOPES).await];
    let message = tool_call(1, "tenant_status", &json!({}));
    let send = async |client: &Client, key: &str| server.post(client, key).json(&message).send().await.unwrap();
    let client = Client::new();
    let mut accepted = 0;
    let refused = loop {
        let response = send(&client, &ada).await;
        if response.status() != StatusCode::OK {
            break response;
        }
        accepted += 1;
        assert!(accepted < 30, "nobody stops her");
    };
    assert!(accepted >= 2, "a burst is let in: {accepted}");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    assert!(refused.headers().contains_key("x-request-id"));
    // Neither another key of hers nor another connection counts anew; another user, or a namesake elsewhere, is another.
    assert_eq!(send(&Client::new(), &again).await.status(), StatusCode::TOO_MANY_REQUESTS);
    for other in &others {
        assert_eq!(reply(send(&client, other).await).await["result"]["isError"], false);
    }
    // A stranger with her name in a wrong key is no reason to keep her out, nor is a refusal counted.
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(send(&client, &again).await.status(), StatusCode::OK, "it was worth the wait");
    let rows = "SELECT count(*) FROM audit_logs WHERE user_id = 'ada' AND tenant_id = (SELECT id FROM tenants WHERE slug = 'demo')";
    assert_eq!(database.value::<i64>(rows).await, accepted + 1, "a request that was not let on is no call");
}

#[tokio::test]
async fn the_rate_is_a_setting_and_its_refusals_are_counted() {
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.args(["--requests-per-minute", "2", "--metrics-by-tenant"]);
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let message = tool_call(1, "tenant_status", &json!({}));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let response = served.post(&client, &ada).json(&message).send().await.unwrap();
        statuses.push((
            response.status().as_u16(),
            response.headers().get("retry-after").map(|wait| wait.to_str().unwrap().to_owned()),
        ));
    }
    assert_eq!(statuses[0], (200, None));
    // One in thirty seconds, of which some may have gone.
    assert_eq!(statuses[2].0, 429, "{statuses:?}");
    let wait: u64 = statuses[2].1.as_ref().unwrap().parse().unwrap();
    assert!((10..=30).contains(&wait), "{statuses:?}");
    let figures = client.get(&served.figures).send().await.unwrap().text().await.unwrap();
    let demo = database.tenant("demo").await.id;
    for line in [
        "bailiwick_http_refused_total{reason=\"principal\"} 2".to_owned(),
        "bailiwick_http_requests_total{route=\"/mcp\",status=\"429\"} 2".to_owned(),
        format!("bailiwick_calls_total{{tool=\"tenant_status\",outcome=\"ok\",tenant=\"{demo}\"}} 1"),
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is not in\n{figures}");
    }
}

#[tokio::test]
async fn a_server_that_ends_answers_what_runs_and_sends_others_elsewhere() {
    let database = TestDatabase::create().await;
    let toolbox = bailiwick::mcp::Toolbox::empty().with(crate::audit::tools::Ending);
    let server = HttpServer::start_with(&database, HttpOptions::default(), toolbox).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let running = server.call(&client, &ada, "ending", json!({ "end": "a while" }));
    let ending = async {
        until("the call runs", async || under_way(&database).await == 1).await;
        let calls = server.calls.clone();
        let drained = tokio::spawn(async move { calls.drain(Duration::from_secs(10)).await });
        until("no call is let in", async || server.calls.readiness().closing).await;
        let late =
            server.post(&client, &ada).json(&tool_call(2, "ending", &json!({ "end": "ok" }))).send().await.unwrap();
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(late.headers()["retry-after"], "5");
        // Without a key nobody is told even that.
        let stranger = client.post(server.url("/mcp")).json(&json!({})).send().await.unwrap();
        assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
        assert!(drained.await.unwrap());
    };
    let (answer, ()) = tokio::join!(running, ending);
    assert_eq!(answer["isError"], false, "{answer}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 1);
}
