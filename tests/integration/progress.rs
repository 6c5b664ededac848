//! The bars of commands that go on for a while, at a terminal of util-linux's `script`.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::harness::{Lacking, TestDatabase, skip};

/// What a person sees of a command, on a terminal; `None` where there is none to be had.
async fn seen(database: &TestDatabase, folder: &Path, format: &str, arguments: &[&str]) -> Option<String> {
    let line = shlex::try_join([env!("CARGO_BIN_EXE_bailiwick")].iter().chain(arguments).copied()).unwrap();
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(folder)
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_DATA_DIR", folder)
        .env("BAILIWICK_LOG_FORMAT", format)
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    let Ok(output) = script.output().await else {
        skip(Lacking::Terminal, "there is no `script` on this machine");
        return None;
    };
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    Some(shown)
}

#[tokio::test]
async fn a_bar_is_drawn_for_a_person_and_for_no_machine() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let demo = database.tenant("demo").await;
    for title in ["one", "two"] {
        crate::embedding::setup::plant(&database, &demo, title, "A text.").await;
    }
    let drawn = "documents written";
    let Some(shown) = seen(&database, folder.path(), "text", &["tenant", "export", "demo", "a.jsonl"]).await else {
        return;
    };
    assert!(shown.contains(drawn) && shown.contains("2 documents of demo"), "{shown:?}");
    let shown = seen(&database, folder.path(), "json", &["tenant", "export", "demo", "b.jsonl"]).await.unwrap();
    assert!(!shown.contains(drawn) && shown.contains("2 documents of demo"), "{shown:?}");
}
