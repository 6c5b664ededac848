use super::{docx, pdf, run, run_with};
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
    assert_eq!(rows[0], "Notes|notes");
    assert!(rows[1].starts_with("stdin|stdin#"), "{rows:?}");
}

/// What a download or another program writes is read as a file of that format is, in the process that hostile files cannot leave.
#[tokio::test]
async fn pages_and_papers_come_by_the_standard_input() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let page = "<!doctype html><html lang=\"en\"><head><title>Cycling</title></head><body><h1>Bikes</h1>\n<p>Helmets are lent.</p></body></html>";
    let paper = docx("<w:p><w:r><w:t>Travel is booked by the office.</w:t></w:r></w:p>", "Travel");
    for (format, bytes, title) in [
        ("html", page.as_bytes().to_vec(), "Cycling"),
        ("pdf", pdf(&["Parking is free.", "On Sundays too."]), "Parking rules"),
        ("docx", paper, "Travel"),
    ] {
        let piped = ["ingest", "-", "--format", format, "--json"];
        for stored in [1, 0] {
            let told = run_with(&database, folder.path(), &piped, &bytes).await;
            assert_eq!((told.code, told.counts(["stored"])), (Some(0), [stored]), "{format}: {told:?}");
        }
        let row: String = database
            .value(&format!("SELECT title || '|' || left(source, 6) || '|' || (metadata->>'path') FROM documents WHERE metadata->>'format' = '{format}'"))
            .await;
        assert_eq!(row, format!("{title}|stdin#|stdin"));
    }
    let words = "SELECT string_agg(content, ' ' ORDER BY title) FROM documents";
    let words: String = database.value(words).await;
    for sentence in ["Helmets are lent.", "Parking is free.", "On Sundays too.", "Travel is booked by the office."] {
        assert!(words.contains(sentence), "{words}");
    }
    // A name makes it the document's next text; the file itself is the same document then.
    let named = ["ingest", "-", "--format", "pdf", "--source", "parking.pdf", "--json"];
    run_with(&database, folder.path(), &named, &pdf(&["Parking is free."])).await;
    let told = run_with(&database, folder.path(), &named, &pdf(&["Parking has its price."])).await;
    assert_eq!(told.counts(["replaced"]), [1], "{told:?}");
    std::fs::write(folder.path().join("parking.pdf"), pdf(&["Parking has its price."])).unwrap();
    let told = run(&database, folder.path(), &["ingest", "parking.pdf", "--json"]).await;
    assert_eq!(told.counts(["unchanged"]), [1], "{told:?}");
    let broken = run_with(&database, folder.path(), &["ingest", "-", "--format", "pdf", "--json"], b"%PDF").await;
    assert!(broken.failures()[0].starts_with("-: is no PDF that can be read"), "{broken:?}");
    // And by a named pipe, beside files that the same process reads.
    let pipe = folder.path().join("piped.html");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writing = tokio::task::spawn_blocking(move || std::fs::write(pipe, "<p>By a pipe.</p>").unwrap());
    let told =
        run(&database, folder.path(), &["ingest", "parking.pdf", "piped.html", "--readers", "1", "--json"]).await;
    writing.await.unwrap();
    assert_eq!((told.code, told.counts(["stored", "unchanged"])), (Some(0), [1, 1]), "{told:?}");
}

/// What comes by a stream has no place, and is known by what it says: a run that was stopped is run again, like any other.
#[tokio::test]
async fn what_comes_by_a_stream_again_is_not_stored_again() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let lines: Vec<String> = (0..600)
        .map(|at| format!("{{\"title\":\"t{}\",\"content\":\"the same text\",\"at\":{}}}\n", at % 300, at % 300))
        .collect();
    let piped = ["ingest", "-", "--format", "jsonl", "--json"];
    // As much as a killed run may have stored.
    let told = run_with(&database, folder.path(), &piped, lines[..100].concat().as_bytes()).await;
    assert_eq!(told.counts(["stored"]), [100], "{told:?}");
    let told = run_with(&database, folder.path(), &piped, lines.concat().as_bytes()).await;
    assert_eq!(told.counts(["stored", "unchanged"]), [200, 400], "a line that comes twice is one document: {told:?}");
    let count = "SELECT count(*) FROM documents";
    assert_eq!(
        database.value::<i64>(count).await,
        300,
        "lines of one text and other fields are documents of their own"
    );
    // A line at another place is the same line; under another prefix it is another document.
    let reversed: String = lines.iter().rev().map(String::as_str).collect();
    let told = run_with(&database, folder.path(), &piped, reversed.as_bytes()).await;
    assert_eq!(told.counts(["stored", "unchanged"]), [0, 600], "{told:?}");
    let prefixed = ["ingest", "-", "--format", "jsonl", "--source-prefix", "export/", "--json"];
    let told = run_with(&database, folder.path(), &prefixed, lines[..10].concat().as_bytes()).await;
    assert_eq!(told.counts(["stored"]), [10], "{told:?}");
    let prefix = "SELECT bool_and(source ~ '^export/stdin#[0-9a-f]{32}$') FROM documents WHERE source LIKE 'export%'";
    assert!(database.value::<bool>(prefix).await);
    for _ in 0..2 {
        run_with(&database, folder.path(), &["ingest", "-"], b"A piped text.").await;
    }
    let piped = "SELECT count(*) FROM documents WHERE title = 'stdin'";
    assert_eq!(database.value::<i64>(piped).await, 1);
}

/// A pipe that is named is read like the standard input; one that nobody writes to keeps no run from ending.
#[tokio::test]
async fn a_named_pipe_is_a_stream() {
    use std::process::Stdio;
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let pipe = folder.path().join("pipe.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&pipe).arg(folder.path().join("silent.txt")).status().unwrap();
    assert!(made.success());
    let writing = tokio::task::spawn_blocking({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "{\"content\":\"one line\"}\n{\"content\":\"and another\"}\n")
    });
    let told = run(&database, folder.path(), &["ingest", "pipe.jsonl", "--json"]).await;
    writing.await.unwrap().unwrap();
    assert_eq!((told.code, told.counts(["stored"])), (Some(0), [2]), "{told:?}");
    let sources = "SELECT bool_and(source LIKE 'stdin#%') FROM documents";
    assert!(database.value::<bool>(sources).await, "it is no place to find a text at again");
    let mut silent = super::command(&database, folder.path()).await;
    let silent = silent.args(["ingest", "silent.txt"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Once it waits for the pipe.
    let calls =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'bailiwick_app'";
    while database.value::<i64>(calls).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let pid = silent.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), silent.wait_with_output()).await;
    assert_eq!(ended.expect("it ends").unwrap().status.code(), Some(130));
}

/// What stands behind the program's own descriptors is another file the next time.
#[tokio::test]
async fn a_file_behind_a_descriptor_is_a_stream() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    for text in ["one text", "another text"] {
        std::fs::write(folder.path().join("given.txt"), text).unwrap();
        let given = std::fs::File::open(folder.path().join("given.txt")).unwrap();
        let mut command = super::command(&database, folder.path()).await;
        let ended = command.args(["ingest", "--format", "text", "/dev/stdin"]).stdin(given).output().await.unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 2, "the second replaces nothing");
    let told = run_with(&database, folder.path(), &["ingest", "-", "-", "--json"], b"a third text").await;
    assert_eq!((told.code, told.counts(["files", "stored"])), (Some(0), [1, 1]), "it is read once: {told:?}");
    let pipe = folder.path().join("empty.txt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writing = tokio::task::spawn_blocking(move || std::fs::write(pipe, " ").unwrap());
    let told = run(&database, folder.path(), &["ingest", "empty.txt", "--json"]).await;
    writing.await.unwrap();
    assert_eq!(told.failures(), ["empty.txt: has no text"]);
}
