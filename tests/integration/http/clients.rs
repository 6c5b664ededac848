//! The real binary over HTTP, and real clients of it.

use serde_json::{Value, json};
use tokio::process::Command;

use super::served::Served;
use super::{ALL_SCOPES, key, tool_call};
use crate::clients::packages;
use crate::clients::plan::{self, Plan};
use crate::harness::TestDatabase;

#[tokio::test]
async fn the_binary_serves_counts_and_ends_in_order() {
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, reqwest::Client::new());
    let post = |message: Value| {
        client
            .post(&served.url)
            .bearer_auth(&ada)
            .header("accept", "application/json, text/event-stream")
            .json(&message)
            .send()
    };
    let stored = post(tool_call(1, "insert_document", &json!({ "title": "t", "content": "c" }))).await.unwrap();
    assert_eq!(stored.json::<Value>().await.unwrap()["result"]["isError"], false);
    let refused = post(tool_call(2, "hybrid_search", &json!({ "query": "" }))).await.unwrap();
    assert_eq!(refused.json::<Value>().await.unwrap()["result"]["isError"], true);
    let figures = client.get(&served.figures).send().await.unwrap().text().await.unwrap();
    for line in [
        "bailiwick_calls_total{tool=\"insert_document\",outcome=\"ok\"} 1",
        "bailiwick_calls_total{tool=\"hybrid_search\",outcome=\"error\"} 1",
        "bailiwick_call_duration_seconds_count{tool=\"insert_document\"} 1",
        "bailiwick_http_requests_total{route=\"/mcp\",status=\"200\"} 2",
    ] {
        assert!(figures.lines().any(|found| found == line), "{line} is not in\n{figures}");
    }
    assert!(!figures.contains("demo") && !figures.contains("ada"), "figures name no tenant and no user");
    assert_eq!(served.finish().await.0, Some(0));
}

/// Runs a client against a server of its own; the protocol that it spoke.
async fn drive(client: Command) -> Value {
    drive_at(client, "/mcp").await
}

async fn drive_at(mut client: Command, path: &str) -> Value {
    let (database, plan) = (TestDatabase::create().await, Plan::read());
    let admin = database.url("postgres").await;
    let service = plan::service().await;
    let served = Served::start_with(&database, |command| {
        command.env("BAILIWICK_LEGACY_SSE", "true").env("BAILIWICK_ADMIN_DATABASE_URL", admin);
        plan::embed_by(command, &service);
    })
    .await;
    client.arg(served.at(path)).env("BAILIWICK_TEST_KEY", key(&database, "demo", "ada", ALL_SCOPES).await);
    let output = client.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let mut saw: Value = serde_json::from_str(stdout.trim()).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
    plan.check(&saw);
    let hers = "user_id = 'ada' AND host(ip_address) = '127.0.0.1' AND user_agent <> ''";
    assert_eq!(plan::rows_of(&database, hers).await, plan.rows());
    saw["protocol"].take()
}

#[tokio::test]
async fn the_python_sdk_drives_every_tool_over_http_in_both_eras() {
    let packages = tokio::task::spawn_blocking(packages::python).await.unwrap();
    for (mode, protocol) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        let mut client = Command::new("python3");
        client.arg(packages::scripts().join("python_client.py")).arg(mode);
        client.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
        assert_eq!(drive(client).await, protocol);
    }
}

#[tokio::test]
async fn the_python_and_typescript_sdks_drive_every_tool_over_http_with_sse() {
    let packages = tokio::task::spawn_blocking(packages::python).await.unwrap();
    let mut python = Command::new("python3");
    python.arg(packages::scripts().join("python_client.py")).arg("legacy");
    python.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
    assert_eq!(drive_at(python, "/sse").await, "2025-11-25");
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let mut typescript = Command::new(&node);
    typescript.arg(folder.join("typescript_v1.mjs")).current_dir(&folder);
    assert_eq!(drive_at(typescript, "/sse").await, "2025-11-25");
}

#[tokio::test]
async fn the_typescript_sdks_drive_every_tool_over_http_in_both_eras() {
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let client = |script: &str, mode: Option<&str>| {
        let mut client = Command::new(&node);
        client.arg(folder.join(script)).args(mode).current_dir(&folder);
        client
    };
    assert_eq!(drive(client("typescript_v1.mjs", None)).await, "2025-11-25");
    for (mode, protocol) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        assert_eq!(drive(client("typescript_v2.mjs", Some(mode))).await, protocol);
    }
}

#[tokio::test]
async fn wrong_settings_are_told_together() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    let output = command.args(["serve", "--http", "8080", "--public-url", "mcp.example"]).output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("BAILIWICK_HTTP is \"8080\"") && stderr.contains("BAILIWICK_PUBLIC_URL is"), "{stderr}");
}
