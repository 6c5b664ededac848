use serde_json::json;

use super::{run, run_with};
use crate::harness::TestDatabase;

async fn sources(database: &TestDatabase) -> Vec<String> {
    database.value("SELECT coalesce(array_agg(source ORDER BY source COLLATE \"C\"), '{}') FROM documents").await
}

#[tokio::test]
async fn folders_patterns_and_ignore_rules_choose_the_files() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    for (path, text) in [
        ("docs/a.md", "a text"),
        ("docs/deep/b.txt", "b text"),
        ("docs/secret.txt", "never"),
        ("docs/draft.md", "never either"),
        ("docs/.hidden.txt", "hidden"),
        ("docs/.gitignore", "secret.txt"),
        ("docs/.bailiwickignore", "draft.*"),
        ("other/c.txt", "c text"),
        ("other/d.log", "d text"),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    // A ring of links ends nowhere.
    std::os::unix::fs::symlink("..", folder.path().join("docs/deep/up")).unwrap();
    let dry = run(&database, folder.path(), &["ingest", "--dry-run", "--json", "./docs", "other/*.txt"]).await;
    assert_eq!((dry.code, dry.counts(["stored", "files", "chunks"])), (Some(0), [3, 3, 3]), "{dry:?}");
    assert_eq!(sources(&database).await, [""; 0], "a dry run stores nothing");
    assert_eq!(dry.counts(["passed_over"]), [1], "the link, which is not followed: {dry:?}");
    let told =
        run(&database, folder.path(), &["ingest", "./docs", "other/*.txt", "other/c.txt", "--source-prefix", "repo/"])
            .await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stdout.starts_with("3 stored, 0 replaced, 0 unchanged from 3 files"), "{}", told.stdout);
    assert_eq!(sources(&database).await, ["repo/docs/a.md", "repo/docs/deep/b.txt", "repo/other/c.txt"]);
    let all = run(&database, folder.path(), &["ingest", "docs", "--no-ignore", "--json"]).await;
    assert_eq!(all.counts(["stored"]), [5], "{all:?}");
    for (arguments, words) in [
        (vec!["ingest", "nowhere", "--json"], "nowhere: is not there, and matches no file"),
        (vec!["ingest", "other/d.log", "--json"], "other/d.log: is of no known format; say which with --format"),
    ] {
        let told = run(&database, folder.path(), &arguments).await;
        assert_eq!((told.code, told.failures()), (Some(1), vec![words.to_owned()]), "{told:?}");
    }
    let forced =
        run(&database, folder.path(), &["ingest", "other/d.log", "--format", "text", "--source", "the log", "--json"])
            .await;
    assert_eq!(forced.counts(["stored"]), [1]);
    assert!(sources(&database).await.contains(&"the log".to_owned()));
}

#[tokio::test]
async fn what_changed_is_replaced_and_the_rest_left_alone() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    for at in 0..5 {
        std::fs::write(folder.path().join(format!("{at}.txt")), format!("text number {at}")).unwrap();
    }
    run(&database, folder.path(), &["ingest", "."]).await;
    let ids: Vec<String> = database.value("SELECT array_agg(id::text ORDER BY source) FROM documents").await;
    std::fs::write(folder.path().join("3.txt"), "another text").unwrap();
    let told = run(&database, folder.path(), &["ingest", ".", "--json"]).await;
    assert_eq!(told.counts(["stored", "replaced", "unchanged"]), [0, 1, 4], "{told:?}");
    assert_eq!(database.value::<Vec<String>>("SELECT array_agg(id::text ORDER BY source) FROM documents").await, ids);
    assert_eq!(database.value::<String>("SELECT content FROM documents WHERE source = '3.txt'").await, "another text");
    std::fs::write(folder.path().join("3.txt"), "a third text").unwrap();
    let told = run(&database, folder.path(), &["ingest", ".", "--no-replace", "--json"]).await;
    assert_eq!(told.counts(["stored", "unchanged"]), [1, 4]);
    // Now two documents have the source, and nobody can tell which is meant.
    std::fs::write(folder.path().join("3.txt"), "a fourth text").unwrap();
    let told = run(&database, folder.path(), &["ingest", ".", "--json"]).await;
    assert_eq!((told.code, told.counts(["failed", "unchanged"])), (Some(1), [1, 4]));
    assert!(told.failures()[0].starts_with("3.txt: conflict: several documents have the source \"3.txt\""), "{told:?}");
}

#[tokio::test]
async fn at_the_quotas_edge_it_is_told_exactly_what_went_in() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    database.execute("UPDATE tenants SET max_documents = 7 WHERE slug = 'demo'").await;
    for at in 0..10 {
        std::fs::write(folder.path().join(format!("{at}.txt")), format!("text number {at}")).unwrap();
    }
    let told = run(&database, folder.path(), &["ingest", ".", "--continue-on-error", "--json"]).await;
    assert_eq!((told.code, told.counts(["stored", "over_quota", "failed"])), (Some(1), [7, 3, 3]), "{told:?}");
    let failures = told.failures();
    assert!(
        failures.iter().all(|one| one.contains("quota_exceeded: the tenant holds 7 documents and may hold 7.")),
        "{failures:?}"
    );
    let missing: Vec<&str> = failures.iter().map(|one| one.split(':').next().unwrap()).collect();
    let there = sources(&database).await;
    assert!(
        there.len() == 7 && missing.iter().all(|name| !there.iter().any(|source| source == name)),
        "{there:?} {missing:?}"
    );
    database.execute("UPDATE tenants SET max_documents = NULL WHERE slug = 'demo'").await;
    let told = run(&database, folder.path(), &["ingest", ".", "--json"]).await;
    assert_eq!(told.counts(["stored", "unchanged"]), [3, 7]);
}

#[tokio::test]
async fn a_dry_run_tells_from_which_document_on_the_quota_has_no_room() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let write = |name: &str, bytes: usize| std::fs::write(folder.path().join(name), "word ".repeat(bytes / 5)).unwrap();
    // Of 300 KB each, three of them a batch: what those of one take must be missing in the next.
    (0..6).for_each(|at| write(&format!("{at}.txt"), 300_000 + 5 * at));
    write("6.txt", 50);
    let counts = ["stored", "replaced", "over_quota", "failed"];
    let dry = ["ingest", ".", "--readers", "1", "--dry-run", "--json"];
    database.execute("UPDATE tenants SET max_storage_mb = 1 WHERE slug = 'demo'").await;
    let told = run(&database, folder.path(), &dry).await;
    assert_eq!((told.code, told.counts(counts)), (Some(1), [4, 0, 3, 3]), "{told:?}");
    let summary = &told.report()["summary"];
    assert_eq!((&summary["first_over_quota"], &summary["complete"]), (&json!("3.txt"), &json!(true)), "{told:?}");
    let failures = told.failures();
    assert!(failures[0].contains("quota_exceeded: by then the tenant's documents take 900"), "{failures:?}");
    assert!(!told.stderr.contains("4.txt") && told.stderr.contains("3.txt: quota_exceeded"), "{}", told.stderr);
    let fitting = ["ingest", "0.txt", "1.txt", "2.txt", "6.txt", "--json"];
    assert_eq!(run(&database, folder.path(), &fitting).await.counts(counts), [4, 0, 0, 0], "as it was told");
    // One that takes another's place adds what it is longer; one that is shorter makes room.
    for name in ["3.txt", "4.txt", "5.txt"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    write("0.txt", 470_000);
    write("1.txt", 100);
    write("2.txt", 500_000);
    let told = run(&database, folder.path(), &dry).await;
    let real = ["ingest", ".", "--readers", "1", "--continue-on-error", "--json"];
    let done = run(&database, folder.path(), &real).await;
    for run in [&told, &done] {
        assert_eq!((run.code, run.counts(counts)), (Some(1), [0, 2, 1, 1]), "{run:?}");
        assert_eq!(run.report()["summary"]["first_over_quota"], "0.txt", "{run:?}");
        assert!(run.failures()[0].starts_with("0.txt: "), "{run:?}");
    }
    database.execute("UPDATE tenants SET max_storage_mb = NULL, max_documents = 5 WHERE slug = 'demo'").await;
    ["7.txt", "8.txt", "9.txt"].iter().for_each(|name| write(name, 60));
    let told = run(&database, folder.path(), &dry[..5]).await;
    assert!(told.stdout.contains("2 documents would not fit into the quota, from 8.txt on"), "{}", told.stdout);
    assert!(!told.stdout.contains("reasons are above"), "{}", told.stdout);
}

#[tokio::test]
async fn without_leave_to_go_on_it_stops_at_the_first_failure() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("0.txt"), "").unwrap();
    for at in 1..400 {
        std::fs::write(folder.path().join(format!("{at}.txt")), format!("text number {at}")).unwrap();
    }
    let told = run(&database, folder.path(), &["ingest", ".", "--readers", "1", "--json"]).await;
    assert_eq!((told.code, told.failures()), (Some(1), vec!["0.txt: has no text".to_owned()]));
    assert_eq!(told.report()["summary"]["complete"], false);
    assert!(sources(&database).await.len() < 200);
}

#[tokio::test]
async fn who_may_not_write_stores_nothing_and_is_told() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let told =
        run_with(&database, folder.path(), &["ingest", "--scopes", "documents:read", "--json", "-"], b"some text")
            .await;
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.failures()[0].contains("forbidden: ingest needs the scope documents:write"), "{told:?}");
    let rows = "SELECT string_agg(resource || ' ' || outcome, ', ') FROM audit_logs";
    assert_eq!(database.value::<String>(rows).await, "commands/ingest denied");
    let told = run(&database, folder.path(), &["ingest", "a", "b", "--source", "x"]).await;
    assert!(told.stderr.contains("--source names one file"), "{told:?}");
}
