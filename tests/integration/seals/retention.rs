use std::path::PathBuf;
use std::slice::from_ref;

use bailiwick::audit::{Counts, Expectations, check_archive, export, retire, verify};

use super::trail::Trail;

/// Three months of calls, all sealed, of which a seal lies across two months.
async fn three_months() -> Trail {
    let trail = Trail::create().await;
    for month in ["2026-07", "2026-08", "2026-09"] {
        trail.partition(month).await;
    }
    trail.add(30, "2026-07-30").await;
    trail.seal().await;
    trail.add(20, "2026-07-31 23:50").await;
    trail.seal().await;
    trail.add(25, "2026-09-02").await;
    trail.seal().await;
    trail.assert_sound().await;
    trail
}

async fn archive(trail: &Trail, month: &str) -> PathBuf {
    let path = trail.folder.path().join(format!("{month}.jsonl"));
    export(&trail.client, month.parse().unwrap(), &path).await.unwrap();
    path
}

async fn try_to_retire(trail: &Trail, before: &str, archives: &[PathBuf]) -> Result<(u64, Vec<String>), String> {
    let retired = retire(&trail.client, before.parse().unwrap(), archives, &trail.expectations, &trail.keeping).await;
    retired.map(|retired| (retired.rows, retired.partitions)).map_err(|error| error.to_string())
}

#[tokio::test]
async fn months_are_retired_and_the_rest_stays_verifiable() {
    let trail = three_months().await;
    let (july, august) = (archive(&trail, "2026-07").await, archive(&trail, "2026-08").await);
    for (path, rows, seals) in [(&july, 39, 2), (&august, 11, 1)] {
        let report = check_archive(path, &trail.expectations.trusted).unwrap();
        assert_eq!((report.findings.fault_count, report.counts), (0, Counts { rows, seals }), "{:#?}", report.findings);
    }
    assert_eq!(
        try_to_retire(&trail, "2026-08", from_ref(&july)).await.unwrap(),
        (39, vec!["audit_logs_2026_07".into()])
    );
    let found = trail.assert_sound().await;
    assert_eq!((found.rows_checked, found.seals_checked, found.heads_checked), (36, 4, 4));
    // The first seal's rows are all gone, the second's are not.
    let without_leaves = "SELECT string_agg(seal_no::text, ' ' ORDER BY seal_no) FROM audit_seals WHERE leaves IS NULL";
    assert_eq!(trail.database.value::<String>(without_leaves).await, "1");
    trail.add(5, "2026-09-03").await;
    trail.seal().await;
    assert_eq!(
        try_to_retire(&trail, "2026-09", from_ref(&august)).await.unwrap(),
        (11, vec!["audit_logs_2026_08".into()])
    );
    let found = trail.assert_sound().await;
    assert_eq!((found.rows_checked, found.retained_from.unwrap().to_string()), (30, "2026-09-01T00:00:00Z".to_owned()));
    assert_eq!(trail.database.value::<String>(without_leaves).await, "1 2");
    // The archives are still of this chain.
    for path in [&july, &august] {
        let mut report = check_archive(path, &trail.expectations.trusted).unwrap();
        let mut expectations: Expectations = trail.expectations.clone();
        expectations.heads.append(&mut report.heads);
        assert!(verify(&trail.client, &expectations).await.unwrap().is_sound());
    }
    // What is left is guarded as before, and what is gone cannot come back.
    for (edit, words) in [
        ("DELETE FROM audit_logs WHERE id = 60", "is gone"),
        ("UPDATE audit_logs SET id = 7, user_id = 'x' WHERE id = 61", "out of a seal"),
        ("UPDATE audit_seals SET leaves = NULL WHERE seal_no = 3", "not all retired"),
        (
            "UPDATE audit_seals SET retained_from = '2026-10-01' WHERE retained_from IS NOT NULL",
            "not that of its content",
        ),
    ] {
        trail.client.batch_execute(&format!("BEGIN; {edit}")).await.unwrap();
        trail.client.batch_execute("COMMIT").await.unwrap();
        let found = trail.verify().await.findings;
        assert!(found.faults.iter().any(|fault| fault.what.contains(words)), "{edit}: {found:#?}");
    }
    assert_eq!(trail.database.value::<i64>("SELECT count(*) FROM audit_logs_default").await, 0);
}

#[tokio::test]
async fn nothing_is_retired_that_no_archive_holds() {
    let trail = three_months().await;
    let (july, august) = (archive(&trail, "2026-07").await, archive(&trail, "2026-08").await);
    let refused = async |before: &str, archives: &[PathBuf], words: &str| {
        let error = try_to_retire(&trail, before, archives).await.unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    refused("2026-09", from_ref(&july), "no archive of 2026-08").await;
    refused("2126-09", from_ref(&july), "only months that are over can be retired").await;
    // A row that came after the archive was written.
    trail.add(1, "2026-08-20").await;
    refused("2026-09", &[july.clone(), august.clone()], "1 rows of 2026-08 are not sealed yet").await;
    let path = trail.folder.path().join("again.jsonl");
    let error = export(&trail.client, "2026-08".parse().unwrap(), &path).await.unwrap_err();
    assert!(error.to_string().contains("not sealed yet") && !path.exists(), "{error}");
    trail.seal().await;
    refused("2026-09", &[july.clone(), august.clone()], "has 11 of the 12 rows of 2026-08").await;
    let error = export(&trail.client, "2026-08".parse().unwrap(), &august).await.unwrap_err();
    assert!(error.to_string().contains("is not overwritten"), "{error}");
    export(&trail.client, "2026-08".parse().unwrap(), &path).await.unwrap();
    // Rows without a partition of their own would stay behind.
    trail.add(1, "2026-06-20").await;
    trail.seal().await;
    refused("2026-09", &[july.clone(), path.clone()], "1 rows of 2026-06 are in audit_logs_default").await;
    trail
        .client
        .batch_execute(
            "CREATE TABLE kept AS SELECT * FROM audit_logs WHERE id = 3; DELETE FROM audit_logs WHERE id = 3",
        )
        .await
        .unwrap();
    refused("2026-09", &[july.clone(), path.clone()], "row 3 (call unknown").await;
    assert_eq!(trail.database.value::<i64>("SELECT count(*) FROM audit_logs").await, 76);
}

/// Calls that are told of late, once their month was archived and dropped, have an archive of their own and go with it.
#[tokio::test]
async fn rows_of_a_month_that_is_gone_are_archived_by_themselves() {
    let trail = three_months().await;
    // A seal that lies across August and September keeps its leaves.
    trail.add(4, "2026-08-31 23:58").await;
    trail.seal().await;
    let (july, august) = (archive(&trail, "2026-07").await, archive(&trail, "2026-08").await);
    assert_eq!(try_to_retire(&trail, "2026-09", &[july, august.clone()]).await.unwrap().0, 51);
    let path = trail.folder.path().join("late.jsonl");
    let nothing = export(&trail.client, "2026-08".parse().unwrap(), &path).await.unwrap_err().to_string();
    assert!(nothing.contains("2026-08 was retired") && !path.exists(), "{nothing}");
    trail.partition("2026-08").await;
    // As many as the first archive has: equal numbers are not equal rows.
    trail.add(12, "2026-08-20").await;
    trail.seal().await;
    trail.assert_sound().await;
    let error = try_to_retire(&trail, "2026-09", from_ref(&august)).await.unwrap_err();
    assert!(error.contains("has 0 of the 12 rows of 2026-08"), "{error}");
    let counts = export(&trail.client, "2026-08".parse().unwrap(), &path).await.unwrap();
    // The seal across two months has leaves of rows that are gone: it is not of this archive.
    assert_eq!(counts, Counts { rows: 12, seals: 1 });
    let report = check_archive(&path, &trail.expectations.trusted).unwrap();
    assert_eq!((report.findings.fault_count, report.counts), (0, counts), "{:#?}", report.findings);
    // One more: neither archive has it, and both together have not.
    trail.add(1, "2026-08-21").await;
    trail.seal().await;
    let error = try_to_retire(&trail, "2026-09", &[august.clone(), path.clone()]).await.unwrap_err();
    assert!(error.contains("has 12 of the 13 rows of 2026-08"), "{error}");
    let last = trail.folder.path().join("last.jsonl");
    assert_eq!(export(&trail.client, "2026-08".parse().unwrap(), &last).await.unwrap(), Counts { rows: 13, seals: 2 });
    let retired = try_to_retire(&trail, "2026-09", &[august, path, last]).await.unwrap();
    assert_eq!(retired, (13, vec!["audit_logs_2026_08".to_owned()]));
    assert_eq!(trail.assert_sound().await.rows_checked, 28);
}

#[tokio::test]
async fn an_archive_that_was_changed_is_found_out() {
    let trail = three_months().await;
    let path = archive(&trail, "2026-08").await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let write = |lines: Vec<&str>| std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let faults =
        || check_archive(&path, &trail.expectations.trusted).map_or(u64::MAX, |report| report.findings.fault_count);
    write(lines.clone());
    assert_eq!(faults(), 0);
    for at in 1..lines.len() {
        write([&lines[..at], &lines[at + 1..]].concat());
        assert!(faults() > 0, "without line {at}");
        write([&lines[..at], &[lines[at]], &lines[at..]].concat());
        assert!(faults() > 0, "with line {at} twice");
        write(lines[..at].to_vec());
        assert!(faults() > 0, "cut off at {at}");
    }
    for (from, to) in [
        ("\"user 1\"", "\"user 2\""),
        ("2026-08-01T00:0", "2026-08-01T01:0"),
        ("\"head\":\"", "\"head\":\"0"),
        ("\"success\":true", "\"success\":false"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        assert!(faults() > 0, "{from}");
    }
    // An archive of another chain is sound in itself, and not of this one.
    let other = three_months().await;
    let theirs = archive(&other, "2026-07").await;
    let report = check_archive(&theirs, &Expectations::default().trusted).unwrap();
    assert_eq!(report.findings.fault_count, 0);
    let expectations = Expectations { heads: report.heads, ..Expectations::default() };
    assert!(!verify(&trail.client, &expectations).await.unwrap().is_sound());
    assert!(check_archive(&theirs, &trail.expectations.trusted).unwrap().findings.fault_count > 0);
}
