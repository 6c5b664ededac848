//! `bailiwick demo`, as a newcomer runs it.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::{Lacking, data_dir, server, skip};

/// Where there is no pip, the demo goes on by words and this file's promises of meaning are not to be tested.
async fn has_model() -> bool {
    bailiwick::embedded::minilm(&data_dir(), &bailiwick::embedded::Progress::stderr())
        .await
        .inspect_err(|error| skip(Lacking::Python, &format!("no embedding model: {error}")))
        .is_ok()
}

async fn demo(arguments: &[&str]) -> Output {
    server().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("demo").args(arguments).env("BAILIWICK_DATA_DIR", data_dir());
    // A database URL of the person's own must be left alone.
    command.env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/elsewhere");
    command.output().await.unwrap()
}

async fn demo_databases() -> i64 {
    let client = bailiwick::db::admin::connect(&server().await.config("postgres", "postgres")).await.unwrap();
    client
        .query_one("SELECT count(*) FROM pg_database WHERE datname LIKE 'bailiwick_demo_%'", &[])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn the_demo_keeps_its_promises_and_cleans_up() {
    if !has_model().await {
        return;
    }
    let output = demo(&["--json"]).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    let called = report["tools_called"].as_u64().unwrap();
    // 88 inserts, 12 searches, 2 attempts, 4 usages, 2 reports.
    assert_eq!(called, 108);
    assert_eq!(report["audit_rows"], called);
    assert_eq!(report["leaks"], 0);
    let searches = report["searches"].as_array().unwrap();
    assert_eq!(report["embedding"]["documents"], 88, "{}", report["embedding"]);
    for search in searches {
        let is_english = search["language"] == "en";
        assert_eq!(search["mode"], if is_english { "hybrid" } else { "bm25_only" }, "{search}");
        assert_eq!(search["mode_reason"].as_str().is_some_and(|reason| reason.contains("does not cover")), !is_english);
        assert!(!search["document_ids"].as_array().unwrap().is_empty(), "{search}");
    }
    let korean: Vec<_> = searches.iter().filter(|search| search["language"] == "ko").collect();
    assert_eq!(korean.len(), 4);
    assert!(korean.iter().all(|search| search["top_title"] == search["expected_title"]));
    for pair in searches.chunks(2).take(5) {
        assert_eq!(pair[0]["query"], pair[1]["query"]);
        assert_ne!(pair[0]["top_title"], pair[1]["top_title"], "the same question has each tenant's own answer");
    }
    let statuses: Vec<_> =
        report["tenants"].as_array().unwrap().iter().map(|t| &t["costs"]["budget"]["status"]).collect();
    assert_eq!(statuses, ["WARNING", "OK"]);
    let refused = |list: &Value| list.as_array().unwrap().iter().all(|entry| entry["refused"] == true);
    assert!(refused(&report["refusals"]) && refused(&report["attempts"]));
}

#[tokio::test]
async fn the_demo_prints_a_story_and_what_to_paste_into_a_client() {
    let output = demo(&["--no-embeddings"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let snippet = &text[text.find("{\n").unwrap()..=text.rfind("\n}").unwrap() + 1];
    let snippet: Value = serde_json::from_str(snippet).unwrap();
    assert_eq!(snippet["mcpServers"]["bailiwick"]["command"], env!("CARGO_BIN_EXE_bailiwick"));
    assert!(text.contains("108 calls, 108 audit rows"), "{text}");
    assert!(text.contains(concat!(env!("CARGO_BIN_EXE_bailiwick"), " connect claude-desktop\n")), "{text}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !stderr.contains("BAILIWICK_ADMIN_DATABASE_URL"),
        "nothing that a newcomer could not make sense of: {stderr}"
    );
    assert!(text.contains("mode of the searches in en: bm25_only"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour codes where stdout is no terminal");
    // The other test's demo may be running.
    assert!(demo_databases().await <= 1, "the demo's database is gone again");
}
