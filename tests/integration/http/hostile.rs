//! A short look at the example `hostile`; at full size it is `cargo run --release --example hostile`.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::TestDatabase;

async fn example(database: &TestDatabase) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_bailiwick")).with_file_name("examples/hostile");
    assert!(program.is_file(), "{} is not built: run `cargo build --examples` first", program.display());
    let mut hostile = Command::new(program);
    hostile.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
    hostile.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
    hostile
}

#[tokio::test]
async fn honest_clients_are_served_among_dribblers_gluttons_and_floods() {
    let database = TestDatabase::create().await;
    let mut hostile = example(&database).await;
    // How long anything took depends on what else this machine does: that is asserted at full size, on a release build.
    let small = [
        ("--heads", "60"),
        ("--bodies", "30"),
        ("--withheld", "10"),
        ("--silent", "20"),
        ("--guesses", "10"),
        ("--connections", "500"),
        ("--cap", "300"),
        ("--cap-of-address", "60"),
        ("--namesakes", "40"),
        ("--replies", "25"),
        ("--seconds", "2"),
        ("--most-times", "1000"),
        ("--most-mib", "120"),
    ];
    hostile.args(small.into_iter().flat_map(|(name, value)| [name, value])).arg("--json");
    let output = hostile.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{report:#}");
    assert_eq!((&report["replies"], &report["misrouted"]), (&1_000.into(), &0.into()));
    assert!(report["evicted_connections"].as_u64() > Some(100), "the bound was not tried: {report:#}");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for row in rows {
        assert!(row["failed"] == 0 && row["served"].as_u64() > Some(30), "{report:#}");
        assert!(row["newcomers_failed"] == 0 && row["newcomers"].as_u64() > Some(5), "{report:#}");
    }
    assert_eq!(report["faults"], serde_json::json!([]));
}

#[tokio::test]
async fn what_must_not_be_is_told_and_fails() {
    let database = TestDatabase::create().await;
    let mut hostile = example(&database).await;
    let none = ["--heads", "--bodies", "--withheld", "--silent", "--guesses", "--connections", "--namesakes"];
    hostile.args(none.into_iter().flat_map(|name| [name, "0"]));
    hostile.args(["--seconds", "0.3", "--most-times", "0.0001", "--json"]);
    let output = hostile.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success(), "{report:#}");
    assert!(report["faults"].as_array().is_some_and(|faults| faults.len() >= 8), "{report:#}");
}
