use std::process::Stdio;
use std::time::Duration;

use super::{command, run};
use crate::harness::TestDatabase;

#[tokio::test]
async fn a_run_that_was_killed_is_run_again_and_nothing_is_missing_or_twice() {
    let lines = std::env::var("BAILIWICK_INGEST_LINES").map_or(3_000, |count| count.parse().unwrap());
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let text: String = (0..lines)
        .map(|at| {
            format!(
                "{{\"title\":\"t{at}\",\"content\":\"line {at} {}\",\"source\":\"s{}\"}}\n",
                "words and more words ".repeat(20),
                at % 7
            )
        })
        .collect();
    std::fs::write(folder.path().join("big.jsonl"), text).unwrap();
    for at in 0..300 {
        std::fs::write(folder.path().join(format!("{at}.txt")), format!("file {at}")).unwrap();
    }
    let mut kills = 0;
    for patience in [0, 100, 300, 600] {
        let before: i64 = database.value("SELECT count(*) FROM documents").await;
        let mut child = command(&database, folder.path())
            .await
            .args(["ingest", "."])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Once it has stored something that was not there, if there is anything.
        while child.try_wait().unwrap().is_none()
            && database.value::<i64>("SELECT count(*) FROM documents").await == before
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(patience)).await;
        let _ = child.kill().await;
        let after: i64 = database.value("SELECT count(*) FROM documents").await;
        kills += usize::from(after > before && after < lines + 300);
    }
    assert!(kills > 0, "no kill came in the middle");
    let told = run(&database, folder.path(), &["ingest", ".", "--json"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    let [stored, unchanged] = told.counts(["stored", "unchanged"]);
    assert_eq!(stored + unchanged, lines as u64 + 300);
    assert!(unchanged > 0, "what was stored before is not stored again");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, lines + 300);
    assert_eq!(database.value::<i64>("SELECT count(DISTINCT (source, content)) FROM documents").await, lines + 300);
    let bare =
        "SELECT count(*) FROM documents d WHERE NOT EXISTS (SELECT FROM document_chunks c WHERE c.document_id = d.id)";
    assert_eq!(database.value::<i64>(bare).await, 0);
    let again = run(&database, folder.path(), &["ingest", ".", "--json"]).await;
    assert_eq!(again.counts(["stored", "unchanged"]), [0, lines as u64 + 300]);
    // What the killed runs left open is closed: every batch has one row, interrupted ones too.
    assert!(database.value::<i32>("SELECT reap_calls(interval '0', interval '10 minutes')").await >= 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
    let stored = "SELECT coalesce(sum((details->>'stored')::bigint), 0)::bigint FROM audit_logs WHERE outcome = 'ok'";
    assert_eq!(database.value::<i64>(stored).await, lines + 300);
}

#[tokio::test]
async fn a_signal_lets_what_is_under_way_end_and_says_how_to_go_on() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let text: String =
        (0..20_000).map(|at| format!("{{\"content\":\"line {at} {}\"}}\n", "word ".repeat(40))).collect();
    std::fs::write(folder.path().join("big.jsonl"), text).unwrap();
    let mut command = command(&database, folder.path()).await;
    let child =
        command.args(["ingest", "big.jsonl", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while database.value::<i64>("SELECT count(*) FROM documents").await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let interrupt =
        std::process::Command::new("kill").args(["-INT", &child.id().unwrap().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().await.unwrap();
    let (report, stderr): (serde_json::Value, _) =
        (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("run the same again to go on"), "{stderr}");
    assert_eq!(report["summary"]["complete"], false);
    let there: i64 = database.value("SELECT count(*) FROM documents").await;
    assert_eq!(report["summary"]["stored"], there);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
}

/// A dry run says what the run itself then does, and leaves nothing but its rows in the trail.
#[tokio::test]
async fn a_dry_run_tells_what_is_new_changed_and_known() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    for at in 0..9 {
        std::fs::write(folder.path().join(format!("{at}.txt")), format!("text number {at}")).unwrap();
    }
    let counts = ["stored", "replaced", "unchanged", "chunks"];
    let dry = run(&database, folder.path(), &["ingest", ".", "--dry-run", "--json"]).await;
    assert_eq!((dry.code, dry.counts(counts)), (Some(0), [9, 0, 0, 9]), "{dry:?}");
    assert_eq!(dry.report()["summary"]["compared"], true, "{dry:?}");
    run(&database, folder.path(), &["ingest", "."]).await;
    for at in 0..3 {
        std::fs::write(folder.path().join(format!("{at}.txt")), format!("another text {at}")).unwrap();
    }
    std::fs::write(folder.path().join("new.txt"), "a new text").unwrap();
    let state = "SELECT md5(string_agg(d::text, '' ORDER BY id)) FROM documents d";
    let before: String = database.value(state).await;
    let dry = run(&database, folder.path(), &["ingest", ".", "--dry-run", "--json"]).await;
    assert_eq!((dry.code, dry.counts(counts)), (Some(0), [1, 3, 6, 4]), "{dry:?}");
    assert_eq!(database.value::<String>(state).await, before);
    let rows = "SELECT count(*) FROM audit_logs WHERE resource = 'commands/ingest_preview' AND action = 'read' AND outcome = 'ok'";
    assert_eq!(database.value::<i64>(rows).await, 2);
    let told = run(&database, folder.path(), &["ingest", ".", "--dry-run"]).await;
    assert!(told.stdout.starts_with("1 to store, 3 to replace, 6 unchanged from 10 files"), "{}", told.stdout);
    let told = run(&database, folder.path(), &["ingest", ".", "--json"]).await;
    assert_eq!(told.counts(counts), [1, 3, 6, 4], "as it was told");
    // Whoever names a tenant that is none is told so, and not that all is new.
    let nowhere = ["ingest", ".", "--dry-run", "--json", "--tenant", "nobody"];
    let dry = run(&database, folder.path(), &nowhere).await;
    assert!(dry.code == Some(1) && dry.stderr.contains("nobody") && dry.stdout.is_empty(), "{dry:?}");
}

/// A younger text never gives way to an older one, however long that takes to be cut, and a run again changes nothing.
#[tokio::test]
async fn of_lines_with_one_source_the_last_counts() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let line =
        |source: &str, text: &str| format!("{{\"title\":\"t\",\"source\":\"{source}\",\"content\":\"{text}\"}}\n");
    // The first batch takes long; the second, which begins where the first would be of more than 1 MiB, does not.
    let words = |times| "A sentence of many words that says something of leave and of parking. ".repeat(times);
    let (long, last) = (words(7_000), words(1_500));
    let text = line("k", "the old text")
        + &line("other", &long)
        + &line("more", &long)
        + &line("last", &last)
        + &line("k", "the new text");
    std::fs::write(folder.path().join("lines.jsonl"), text).unwrap();
    let content = "SELECT content FROM documents WHERE source = 'k'";
    for _ in 0..3 {
        let told = run(&database, folder.path(), &["ingest", "lines.jsonl", "--replace", "--json"]).await;
        assert_eq!(told.code, Some(0), "{told:?}");
        assert_eq!(database.value::<String>(content).await, "the new text");
    }
    // In one batch.
    let text = line("j", "the old text") + &line("j", "the new text") + &line("i", "another");
    std::fs::write(folder.path().join("few.jsonl"), text).unwrap();
    let told = run(&database, folder.path(), &["ingest", "few.jsonl", "--replace", "--json"]).await;
    assert_eq!((told.code, told.counts(["stored", "superseded", "failed"])), (Some(0), [2, 1, 0]), "{told:?}");
    let told = run(&database, folder.path(), &["ingest", "few.jsonl", "--replace", "--json"]).await;
    assert_eq!((told.code, told.counts(["replaced", "unchanged"])), (Some(0), [0, 2]), "{told:?}");
    let content = "SELECT content FROM documents WHERE source = 'j'";
    assert_eq!(database.value::<String>(content).await, "the new text");
}

/// Two files that say the same source: the first has it, whichever is read sooner, and the second is named each time.
#[tokio::test]
async fn of_files_with_one_source_the_second_is_refused_by_name() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let page = |text: &str| format!("---\nurl: https://example.org/page\n---\n{text}\n");
    std::fs::write(folder.path().join("a.md"), page("The text of the first file. ".repeat(20_000).as_str())).unwrap();
    std::fs::write(folder.path().join("b.md"), page("The text of the second file.")).unwrap();
    for again in [false, true] {
        for readers in ["1", "4"] {
            let arguments = ["ingest", ".", "--continue-on-error", "--readers", readers, "--json"];
            let told = run(&database, folder.path(), &arguments).await;
            let known = u64::from(again || readers == "4");
            let counts = [1 - known, 0, known, 1];
            assert_eq!(told.counts(["stored", "replaced", "unchanged", "failed"]), counts, "{told:?}");
            assert_eq!(told.code, Some(1));
            let why = "b.md: conflict: a.md has the source \"https://example.org/page\", too; give each its own";
            assert_eq!(told.failures(), [why]);
        }
    }
}
