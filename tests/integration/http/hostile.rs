//! A short look at the example `hostile`; at full size it is `cargo run --release --example hostile`.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::TestDatabase;

#[tokio::test]
async fn honest_clients_are_served_among_dribblers_gluttons_and_floods() {
    let program = Path::new(env!("CARGO_BIN_EXE_bailiwick")).with_file_name("examples/hostile");
    assert!(program.is_file(), "{} is not built: run `cargo build --examples` first", program.display());
    let database = TestDatabase::create().await;
    let mut hostile = Command::new(program);
    hostile.args([
        "--heads",
        "60",
        "--bodies",
        "30",
        "--silent",
        "20",
        "--connections",
        "500",
        "--cap",
        "300",
        "--cap-of-address",
        "60",
    ]);
    hostile.args(["--namesakes", "40", "--replies", "25", "--seconds", "3", "--json"]);
    hostile.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
    hostile.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
    let output = hostile.output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{report:#}");
    assert_eq!((&report["replies"], &report["misrouted"]), (&1_000.into(), &0.into()));
    assert!(report["refused_connections"].as_u64() > Some(100), "the bound was not tried: {report:#}");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert!(row["failed"] == 0 && row["served"].as_u64() > Some(50), "{report:#}");
    }
}
