//! The Rust examples, run as they stand.

use std::path::Path;

use tokio::process::Command;

use crate::harness::{data_dir, server};

async fn run(example: &str) -> String {
    server().await;
    // `cargo test` builds the examples beside the binary.
    let program = Path::new(env!("CARGO_BIN_EXE_bailiwick")).with_file_name("examples").join(example);
    assert!(program.is_file(), "{} is not built: run `cargo build --examples` first", program.display());
    let output =
        Command::new(program).env("BAILIWICK_DATA_DIR", data_dir()).env_remove("DATABASE_URL").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn quickstart_finds_what_it_stored() {
    let told = run("quickstart").await;
    assert!(told.contains("\"title\": \"Coffee machine\""), "{told}");
    assert!(told.contains("**Descale** the **coffee** **machine**"), "{told}");
}

#[tokio::test]
async fn two_tenants_find_their_own() {
    let told = run("two_tenants").await;
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "demo: 1 found, \"Everybody has 24 days of paid leave a year.\"",
            "enterprise: 1 found, \"Everybody has 26 days of paid leave a year.\""
        ]
    );
}

#[tokio::test]
async fn cost_report_adds_up() {
    let told = run("cost_report").await;
    assert!(told.contains("\"total_cost_usd\": \"0.0303\""), "{told}");
}
