use serde_json::json;

use super::run;
use crate::harness::{Session, TestDatabase};

#[tokio::test]
async fn a_search_from_the_shell_shows_ranked_passages_with_their_words() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let demo = database.tenant("demo").await;
    let session = Session::open(&database, &demo).await;
    for (title, content, source) in [
        ("Annual leave", "Everybody has 25 days of paid leave.", "hr/leave.md"),
        ("Sick leave", "Tell your team when you are ill; leave is paid then, too.\u{1b}[31m", "hr/sick.md"),
        ("Parking", "Visitors park behind the building.", "office/parking.md"),
    ] {
        session
            .ok(
                "insert_document",
                json!({ "title": title, "content": content, "source": source, "metadata": { "team": title } }),
            )
            .await;
    }
    let shown = run(&database, folder.path(), &["search", "paid", "leave", "--explain"]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.starts_with("1. "), "{}", shown.stdout);
    for words in ["Annual leave  hr/leave.md", "**leave**", "2. ", "terms: ", "leav × ", "bm25_only: ", "words "] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains('\u{1b}') && !shown.stdout.contains("Parking"), "{}", shown.stdout);
    let answer = run(&database, folder.path(), &["search", "--json", "--limit", "1", "paid leave"]).await.report();
    let tools = session.ok("hybrid_search", json!({ "query": "paid leave", "limit": 1 })).await;
    for field in ["results", "mode", "total_candidates"] {
        assert_eq!(answer[field], tools[field], "{field}");
    }
    for (arguments, titles) in [
        (vec!["--source", "hr/sick.md"], vec!["Sick leave"]),
        (vec!["--filter-metadata", "team=Annual leave"], vec!["Annual leave"]),
        (vec!["--created-before", "2020-01-01"], vec![]),
        (vec!["--language", "ko"], vec![]),
    ] {
        let whole: Vec<&str> = ["search", "--json", "leave"].into_iter().chain(arguments.clone()).collect();
        let answer = run(&database, folder.path(), &whole).await.report();
        let found: Vec<&str> =
            answer["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect();
        assert_eq!(found, titles, "{arguments:?}");
    }
    let excluded = run(&database, folder.path(), &["search", "--", "leave -ill"]).await;
    assert!(excluded.stdout.contains("Annual leave") && !excluded.stdout.contains("Sick leave"), "{}", excluded.stdout);
    let nothing = run(&database, folder.path(), &["search", "xylophone"]).await;
    assert!(nothing.code == Some(0) && nothing.stdout.starts_with("nothing was found"), "{nothing:?}");
    let bad = run(&database, folder.path(), &["search", "leave", "--limit", "99"]).await;
    assert!(bad.code == Some(1) && bad.stderr.contains("invalid_input: `limit` is 99"), "{bad:?}");
    let rows =
        "SELECT string_agg(DISTINCT resource || ' ' || user_agent, ', ') FROM audit_logs WHERE user_id = 'loader'";
    let agent = concat!("bailiwick-cli/", env!("CARGO_PKG_VERSION"));
    assert_eq!(database.value::<String>(rows).await, format!("tools/hybrid_search {agent}"));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE user_id = 'loader'").await, 9);
}
