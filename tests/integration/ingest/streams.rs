use super::{run, run_with};
use crate::harness::TestDatabase;

#[tokio::test]
async fn lines_are_documents_with_their_own_fields() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let text = [
        r#"{"title":"First","content":"alpha beta","source":"wiki","metadata":{"k":1},"language":"en","team":"hr"}"#,
        r#"{"text":"gamma delta","url":"wiki"}"#,
        "",
        r#"{"title":"No text","content":" "}"#,
        r#"{"title":"Broken""#,
        r#"{"content":"without a source","metadata":{"k":3}}"#,
        r#"{"title":"","content":"no title","language":"klingon"}"#,
        r#"{"title":"NUL","content":"a\u0000b"}"#,
    ]
    .join("\n");
    std::fs::write(folder.path().join("export.jsonl"), &text).unwrap();
    let told = run(&database, folder.path(), &["ingest", "export.jsonl", "--continue-on-error", "--json"]).await;
    assert_eq!(
        (told.code, told.counts(["stored", "failed", "bytes"])),
        (Some(1), [3, 4, text.len() as u64]),
        "{told:?}"
    );
    let failures = told.failures();
    for (failure, words) in failures.iter().zip([
        "export.jsonl:4: has no text",
        "export.jsonl:5: is no document in JSON: EOF",
        "export.jsonl:7: `title` is empty",
        "export.jsonl:8: `content` has a NUL character",
    ]) {
        assert!(failure.starts_with(words), "{failure}");
    }
    let rows: Vec<String> = database
        .value("SELECT array_agg(title || '|' || source || '|' || metadata::text ORDER BY id) FROM documents")
        .await;
    assert_eq!(
        rows,
        [r#"First|wiki|{"k": 1, "team": "hr"}"#, "gamma delta|wiki|{}", r#"without a source|export.jsonl#6|{"k": 3}"#]
    );
    // A line's place is its source: another text there takes its place. A source of several lines is never replaced unasked.
    let changed = text.replace("without a source", "with another text").replace("gamma delta", "gamma epsilon");
    std::fs::write(folder.path().join("export.jsonl"), changed).unwrap();
    let told = run(&database, folder.path(), &["ingest", "export.jsonl", "--continue-on-error", "--json"]).await;
    assert_eq!(told.counts(["stored", "replaced", "unchanged"]), [1, 1, 1], "{told:?}");
}

#[tokio::test]
async fn the_standard_input_is_a_text_or_lines() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let told = run_with(&database, folder.path(), &["ingest", "-", "--json"], b"piped text").await;
    assert_eq!((told.code, told.counts(["stored"])), (Some(0), [1]), "{told:?}");
    let named = ["ingest", "-", "--source", "notes", "--format", "markdown", "--json"];
    run_with(&database, folder.path(), &named, b"# Notes\n\nfirst").await;
    let told = run_with(&database, folder.path(), &named, b"# Notes\n\nsecond").await;
    assert_eq!(told.counts(["replaced"]), [1], "{told:?}");
    let lines: String = (0..450).map(|at| format!("{{\"content\":\"line number {at}\"}}\n")).collect();
    let told =
        run_with(&database, folder.path(), &["ingest", "-", "--format", "jsonl", "--json"], lines.as_bytes()).await;
    assert_eq!(told.counts(["stored"]), [450], "{told:?}");
    let rows: Vec<String> = database.value("SELECT array_agg(DISTINCT title || '|' || coalesce(source, 'none')) FROM documents WHERE content NOT LIKE 'line%'").await;
    assert_eq!(rows, ["Notes|notes", "stdin|none"]);
    let binary = run_with(&database, folder.path(), &["ingest", "-", "--format", "pdf", "--json"], b"%PDF").await;
    assert!(binary.failures()[0].contains("pdf cannot be read from a stream; give a file"), "{binary:?}");
}
