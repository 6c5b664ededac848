use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::packages;
use crate::harness::TestDatabase;

#[tokio::test]
async fn the_inspector_finds_no_fault_in_the_tools() {
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let database = TestDatabase::create().await;
    let mut inspector = Command::new(node);
    inspector.arg(folder.join("node_modules/.bin/mcp-inspector")).arg("--cli").arg(env!("CARGO_BIN_EXE_bailiwick"));
    // The Inspector hands its own environment on only where it is told to.
    for (name, value) in
        [("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await), ("BAILIWICK_TENANT", "demo".to_owned())]
    {
        inspector.arg("-e").arg(format!("{name}={value}"));
    }
    let output = inspector.args(["--method", "tools/list", "--strict"]).output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(!stderr.contains("Warning: tool"), "{stderr}");
    let listed: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn the_manifest_is_a_valid_bundle_manifest() {
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let mut validate = Command::new(node);
    validate.arg(folder.join("node_modules/.bin/mcpb")).arg("validate");
    let output = validate.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp-manifest.json")).output().await.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
