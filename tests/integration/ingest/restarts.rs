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
    for patience in [400, 700, 1_100, 1_600] {
        let before: i64 = database.value("SELECT count(*) FROM documents").await;
        let mut child = command(&database, folder.path())
            .await
            .args(["ingest", "."])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(patience)).await;
        child.kill().await.unwrap();
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
