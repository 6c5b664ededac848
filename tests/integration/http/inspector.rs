//! The Inspector's command line over HTTP, in both eras.

use serde_json::Value;
use tokio::process::Command;

use super::served::Served;
use super::{ALL_SCOPES, key};
use crate::clients::packages;
use crate::harness::TestDatabase;

const CALLS: u64 = 200;

#[tokio::test]
async fn the_inspector_finds_no_fault_and_loses_no_call_over_http() {
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let ask = async |era: &str, arguments: &[&str]| {
        let mut inspector = Command::new(&node);
        inspector.arg(folder.join("node_modules/.bin/mcp-inspector")).args(["--cli", "--server-url", &served.url]);
        inspector.arg("--header").arg(format!("Authorization: Bearer {ada}"));
        inspector.args(["--protocol-era", era, "--format", "json", "-q"]);
        let output = inspector.args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{era} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let mut told: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Warnings do not fail it, but clients stumble over what they are about.
        assert_eq!(told.get("schemaFindings"), None, "{era} {arguments:?}");
        told["result"].take()
    };
    for era in ["legacy", "modern"] {
        let listed = ask(era, &["--method", "tools/list", "--strict"]).await;
        assert_eq!(listed["tools"].as_array().unwrap().len(), 10);
        let load = ["--load", "--load-requests", &CALLS.to_string(), "--load-concurrency", "16"];
        let call = ["--method", "tools/call", "--tool-name", "tenant_status"];
        let summary = ask(era, &[&call[..], &load[..]].concat()).await;
        assert_eq!((&summary["ok"], &summary["errors"]), (&CALLS.into(), &0.into()), "{summary}");
    }
    let rows: i64 = database.value("SELECT count(*) FROM audit_logs WHERE outcome = 'ok' AND user_id = 'ada'").await;
    assert_eq!(u64::try_from(rows).unwrap(), 2 * CALLS);
}
