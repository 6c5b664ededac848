use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{session, stored};
use crate::harness::{Session, TestDatabase};

/// All pages of a list, as titles, and the number of pages.
async fn titles(session: &Session, arguments: Value, limit: usize) -> (Vec<String>, usize) {
    let (mut titles, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let mut arguments = arguments.clone();
        arguments["limit"] = limit.into();
        if let Some(cursor) = &cursor {
            arguments["cursor"] = cursor.as_str().into();
        }
        let page = session.ok("list_documents", arguments).await;
        let rows = page["documents"].as_array().unwrap();
        titles.extend(rows.iter().map(|row| row["title"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return (titles, pages),
        }
    }
}

/// 40 documents, with times that repeat and titles that repeat.
async fn planted() -> (TestDatabase, Session) {
    let (database, session) = session().await;
    for at in 0..40 {
        let language = if at % 3 == 0 { "ko" } else { "en" };
        let metadata = json!({ "team": format!("t{}", at % 4) });
        stored(&session, json!({ "title": format!("Title {}", at * 7 % 13), "content": format!("c {at}"), "source": format!("s{}", at % 5), "metadata": metadata, "language": language })).await;
    }
    database
        .execute("ALTER TABLE documents DISABLE TRIGGER USER;
                  UPDATE documents SET created_at = timestamptz '2026-01-01Z' + (substr(content, 3)::integer / 4) * interval '1 day',
                                       updated_at = timestamptz '2026-02-01Z' + (substr(content, 3)::integer * 7 % 11) * interval '1 day';
                  ALTER TABLE documents ENABLE TRIGGER USER")
        .await;
    (database, session)
}

async fn expected(database: &TestDatabase, condition: &str, order: &str) -> Vec<String> {
    let sql = format!(
        "SELECT coalesce(array_agg(title ORDER BY {order}), '{{}}') FROM documents d WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'demo') AND ({condition})"
    );
    database.value(&sql).await
}

#[tokio::test]
async fn pages_of_any_size_and_order_are_the_whole_list() {
    let (database, session) = planted().await;
    let enterprise = database.tenant("enterprise").await;
    stored(&Session::open(&database, &enterprise).await, json!({ "title": "Title 5", "content": "theirs" })).await;
    for (order, column) in
        [("created_at", "created_at"), ("updated_at", "updated_at"), ("title", "title COLLATE \"C\"")]
    {
        for (descending, direction) in [(false, "ASC"), (true, "DESC")] {
            let whole = expected(&database, "true", &format!("{column} {direction}, d.id {direction}")).await;
            for limit in [1, 7, 40, 100] {
                let arguments = json!({ "order_by": order, "descending": descending });
                assert_eq!(titles(&session, arguments, limit).await.0, whole, "{order} {direction} {limit}");
            }
        }
    }
    let newest = expected(&database, "true", "created_at DESC, d.id DESC").await;
    assert_eq!(titles(&session, json!({}), 25).await, (newest, 2));
}

#[tokio::test]
async fn filters_are_those_of_a_search() {
    let (database, session) = planted().await;
    for (filter, condition) in [
        (json!({ "source": "s1" }), "source = 's1'"),
        (json!({ "metadata": { "team": "t2" } }), "metadata->>'team' = 't2'"),
        (json!({ "language": "ko" }), "language = 'ko'"),
        (
            json!({ "created_after": "2026-01-03", "created_before": "2026-01-06" }),
            "created_at >= '2026-01-03Z' AND created_at < '2026-01-06Z'",
        ),
        (json!({ "source": "s1", "language": "ko" }), "source = 's1' AND language = 'ko'"),
        (json!({ "source": "S1" }), "false"),
    ] {
        let whole = expected(&database, condition, "created_at DESC, d.id DESC").await;
        assert_eq!(titles(&session, json!({ "filter": filter }), 3).await.0, whole, "{filter}");
    }
    let whole = expected(&database, "updated_at >= '2026-02-05Z'", "created_at DESC, d.id DESC").await;
    assert_eq!(titles(&session, json!({ "updated_after": "2026-02-05" }), 9).await.0, whole);
}

#[tokio::test]
async fn each_order_is_read_from_its_index_and_no_further_than_the_page() {
    let (database, _session) = planted().await;
    let demo = database.tenant("demo").await;
    database
        .execute(&format!(
            "SET app.current_tenant_id = '{}';
             INSERT INTO documents (tenant_id, title, content, created_at, updated_at)
             SELECT current_tenant_id(), 'T' || md5(g::text), 'c', '2025-01-01Z'::timestamptz + g * interval '1 hour', '2025-01-01Z'::timestamptz + g * interval '1 hour'
             FROM generate_series(1, 3000) g;
             ANALYZE documents",
            demo.id
        ))
        .await;
    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'; SET plan_cache_mode = force_custom_plan", demo.id))
        .await
        .unwrap();
    let sql = include_str!("../../../sql/queries/documents/list.sql");
    app.batch_execute(&format!("PREPARE page AS {sql}")).await.unwrap();
    for (order, value, index) in [
        ("created_at", "'2025-02-01Z', NULL", "idx_documents_tenant_created"),
        ("updated_at", "'2025-02-01Z', NULL", "idx_documents_tenant_updated"),
        ("title", "NULL, 'T7'", "idx_documents_tenant_title"),
    ] {
        for descending in [true, false] {
            let explain = format!(
                "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE page('{}', NULL, NULL, NULL, NULL, NULL, NULL, '{order}', {descending}, '01890a5d-ac96-774b-bcce-b302099a8057', {value}, 26)",
                demo.id
            );
            let rows = app.query(&explain, &[]).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{order} {descending}: {plan}");
            let removed: Vec<u32> = plan
                .lines()
                .filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: ")?.parse().ok())
                .collect();
            assert!(removed.iter().sum::<u32>() < 30, "{order} {descending}: {plan}");
        }
    }
}

#[tokio::test]
async fn a_page_stays_small_whatever_titles_and_metadata_hold() {
    let (_database, session) = session().await;
    for at in 0..60 {
        let title = format!("{at:03}{}", "제".repeat(490));
        let metadata = json!({ "note": "n".repeat(if at % 2 == 0 { 900 } else { 1_200 }) });
        stored(&session, json!({ "title": title, "content": "c", "metadata": metadata })).await;
    }
    let page = session.ok("list_documents", json!({ "limit": 100, "order_by": "title" })).await;
    assert!(page.to_string().len() < 36_000, "{}", page.to_string().len());
    let rows = page["documents"].as_array().unwrap();
    assert!(rows[0]["metadata"].is_object() && rows[1].get("metadata").is_none(), "large metadata is left out");
    let (all, pages) = titles(&session, json!({ "order_by": "title" }), 100).await;
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (60, 60));
    assert!(pages > 2);
}

#[tokio::test]
async fn a_cursor_fits_its_own_list_alone() {
    let (database, session) = planted().await;
    let page = session.ok("list_documents", json!({ "limit": 5, "filter": { "language": "en" } })).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    for other in [
        json!({}),
        json!({ "filter": { "language": "ko" } }),
        json!({ "filter": { "language": "en" }, "order_by": "title" }),
    ] {
        let mut arguments = other;
        arguments["cursor"] = cursor.into();
        let text = session.refused("list_documents", arguments).await;
        assert!(text.starts_with("invalid_input: `cursor` "), "{text}");
    }
    // In another tenant's hands it is a place in the order, and opens nothing of the first one's.
    let enterprise = database.tenant("enterprise").await;
    let theirs = Session::open(&database, &enterprise).await;
    for state in ["SELECT", "ALTER TABLE documents DISABLE ROW LEVEL SECURITY"] {
        database.execute(state).await;
        let stolen = json!({ "filter": { "language": "en" }, "cursor": cursor });
        assert_eq!(theirs.ok("list_documents", stolen).await["documents"], json!([]));
    }
}
