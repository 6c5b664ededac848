use serde_json::Value;
use tokio::process::Command;

use super::packages;
use super::plan::{self, Plan};
use crate::harness::TestDatabase;

/// Runs a client on a database of its own; the protocol that it spoke.
async fn run(mut client: Command, name: &str) -> Value {
    let (database, plan) = (TestDatabase::create().await, Plan::read());
    client
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_LOG", "error");
    let service = plan::service().await;
    plan::embed_by(&mut client, &service);
    let output = client.output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let mut saw: Value = serde_json::from_str(stdout.trim()).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
    plan.check(&saw);
    assert_eq!(plan::rows_of(&database, &format!("user_agent LIKE '{name}/%'")).await, plan.rows());
    assert_eq!(plan::rows_of(&database, "true").await, plan.rows(), "and nobody else's");
    saw["protocol"].take()
}

#[tokio::test]
async fn the_python_sdk_drives_every_tool_in_both_eras() {
    let packages = tokio::task::spawn_blocking(packages::python).await.unwrap();
    for (mode, protocol) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        let mut client = Command::new("python3");
        client.arg(packages::scripts().join("python_client.py")).args([mode, env!("CARGO_BIN_EXE_bailiwick")]);
        client.env("PYTHONPATH", &packages).env("PYTHONDONTWRITEBYTECODE", "1");
        assert_eq!(run(client, "python-sdk").await, protocol);
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
    assert_eq!(run(client("typescript_v1.mjs", None), "typescript-v1").await, "2025-11-25");
    for (mode, protocol) in [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")] {
        assert_eq!(run(client("typescript_v2.mjs", Some(mode)), "typescript-v2").await, protocol);
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
