use serde_json::Value;
use tokio::process::Command;

use super::packages;
use crate::harness::TestDatabase;

/// Runs a client on a database of its own; what it says it saw.
async fn run(mut client: Command, name: &str) -> Value {
    let database = TestDatabase::create().await;
    client
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_LOG", "error");
    let output = client.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let saw: Value = serde_json::from_str(stdout.trim()).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));

    assert_eq!(
        saw["tools"],
        serde_json::json!([
            "hybrid_search",
            "insert_document",
            "get_document",
            "list_documents",
            "update_document",
            "delete_document",
            "cost_report",
            "record_usage",
            "tenant_status",
            "search_audit_log"
        ])
    );
    assert_eq!(saw["found"], "Staplers");
    assert_eq!(saw["cost_usd"], "0.0000045");
    assert_eq!(saw["read"], "Staplers are refilled on Tuesdays.");
    assert_eq!(saw["sources"], serde_json::json!(["office.md"]));
    assert!(saw["prompt"].as_str().unwrap().contains("When?"), "{saw}");
    assert!(saw["invalid"].as_str().unwrap().starts_with("invalid_input: `limit` is 99"), "{saw}");
    let rows = format!(
        "SELECT string_agg(resource || ' ' || outcome, ', ' ORDER BY id) FROM audit_logs WHERE user_agent LIKE '{name}/%'"
    );
    assert_eq!(
        database.value::<String>(&rows).await,
        "tools/insert_document ok, tools/hybrid_search ok, tools/record_usage ok, tools/cost_report ok, tools/hybrid_search error, resources/list ok, resources/document ok, completion/sources ok"
    );
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 8);
    saw
}

#[tokio::test]
async fn the_python_sdk_drives_every_tool_in_both_eras() {
    let packages = tokio::task::spawn_blocking(packages::python).await.unwrap();
    for (mode, protocol) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        let mut client = Command::new("python3");
        client.arg(packages::scripts().join("python_client.py")).args([mode, env!("CARGO_BIN_EXE_bailiwick")]);
        client.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
        assert_eq!(run(client, "python-sdk").await["protocol"], protocol);
    }
}

#[tokio::test]
async fn the_typescript_sdks_drive_every_tool_in_both_eras() {
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let client = |script: &str, mode: Option<&str>| {
        let mut client = Command::new(&node);
        client.arg(folder.join(script)).args(mode).arg(env!("CARGO_BIN_EXE_bailiwick")).current_dir(&folder);
        client
    };
    assert_eq!(run(client("typescript_v1.mjs", None), "typescript-v1").await["protocol"], "2025-11-25");
    for (mode, protocol) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        assert_eq!(run(client("typescript_v2.mjs", Some(mode)), "typescript-v2").await["protocol"], protocol);
    }
}

#[tokio::test]
async fn the_python_example_finds_what_it_stored() {
    let packages = tokio::task::spawn_blocking(packages::python).await.unwrap();
    let database = TestDatabase::create().await;
    let mut example = Command::new("python3");
    example.arg(packages::scripts().join("../../examples/client.py")).arg(env!("CARGO_BIN_EXE_bailiwick"));
    example.env("PYTHONPATH", &packages).env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
    let output = example.env("BAILIWICK_TENANT", "demo").output().await.unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("Bicycle shed: The code of the bicycle shed is changed every spring."), "{stdout}");
}
