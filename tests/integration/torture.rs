//! A short storm by the example `torture`; a long one is `cargo run --release --example torture -- --calls 50000`.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::server;

/// What the example found, and whether it was content.
async fn storm(arguments: &[&str]) -> (bool, Value) {
    // `cargo test` builds the examples beside the binary.
    let program = Path::new(env!("CARGO_BIN_EXE_bailiwick")).with_file_name("examples/torture");
    assert!(program.is_file(), "{} is not built: run `cargo build --examples` first", program.display());
    let mut command = Command::new(program);
    command.arg("--json").args(arguments).env("BAILIWICK_PG_BIN", server().await.bin_dir());
    let output = command.output().await.unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), report)
}

fn violations(report: &Value) -> &[Value] {
    report["violations"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[tokio::test]
async fn a_storm_leaves_one_row_for_each_call_that_agrees_with_what_was_told() {
    let (is_content, report) = storm(&["--calls", "600"]).await;
    assert!(violations(&report).is_empty() && is_content, "{report:#}");
    for deed in ["postgres_kills", "server_kills", "terminated_backends"] {
        assert!(report[deed].as_u64() > Some(0), "nothing was tried: {report:#}");
    }
}

#[tokio::test]
async fn so_it_does_over_http() {
    let (is_content, report) = storm(&["--calls", "400", "--transport", "http"]).await;
    assert!(violations(&report).is_empty() && is_content, "{report:#}");
    for deed in ["postgres_kills", "server_kills", "terminated_backends"] {
        assert!(report[deed].as_u64() > Some(0), "nothing was tried: {report:#}");
    }
}

#[tokio::test]
async fn without_the_fence_the_same_storm_is_seen_to_do_harm() {
    let (is_content, report) = storm(&["--calls", "300", "--without-fence"]).await;
    assert!(!violations(&report).is_empty() && !is_content, "{report:#}");
}
