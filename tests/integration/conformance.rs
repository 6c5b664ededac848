//! MCP's own conformance suite: `tests/conformance/run`, whose README says what it covers.

use std::path::Path;

use tokio::process::Command;

use crate::harness::{Lacking, TestDatabase, skip};

/// What the script says where there is no npm or no Node.
const NOT_TO_BE_HAD: i32 = 3;

#[tokio::test]
async fn every_applicable_scenario_passes() {
    let programs = Path::new(env!("CARGO_BIN_EXE_bailiwick")).parent().unwrap();
    let fixtures = programs.join("examples/conformance");
    assert!(fixtures.is_file(), "{} is not built: run `cargo build --examples` first", fixtures.display());
    let database = TestDatabase::create().await;
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/run"));
    script.env("BAILIWICK_BIN_DIR", programs).env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")));
    script.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
    script.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
    let output = script.output().await.unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.code() == Some(NOT_TO_BE_HAD) {
        return skip(Lacking::Node, &told);
    }
    assert!(output.status.success(), "{told}");
    for part in [
        "everything that 2025-11-25 requires",
        "everything that 2026-07-28 requires",
        "2026-07-28 server-stateless\n      21 checks pass",
        "every applicable scenario passes",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
