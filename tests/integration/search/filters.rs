use serde_json::{Value, json};

use crate::harness::{Session, TestDatabase};

async fn stocked() -> (TestDatabase, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    for (title, source, language, metadata) in [
        ("a", "x.txt", "en", json!({ "department": "hr", "tags": ["leave", "pay"], "year": 2025, "draft": false })),
        ("b", "x.txt", "de", json!({ "department": "it", "tags": ["leave"], "year": 2026, "draft": true })),
        ("c", "y.txt", "en", json!({ "department": "hr", "owner": { "name": "Kim", "floor": 3 }, "ratio": 0.5 })),
        ("d", "z/ä ö.txt", "ko", json!({})),
    ] {
        // The same words in other bytes: the same content from one source would be stored once.
        let content = format!("shared word {}", "(".repeat(usize::from(title.as_bytes()[0] - b'a')));
        let document = json!({ "title": title, "content": content, "source": source, "language": language, "metadata": metadata, "embedding": [1, 2, 3, 4] });
        session.ok("insert_document", document).await;
    }
    (database, session)
}

/// The titles that pass, by words, by vectors and by both: a filter holds inside each side.
async fn passing(session: &Session, filter: Value) -> String {
    let mut seen = Vec::new();
    for weights in [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)] {
        let arguments = json!({
            "query": "shared word", "query_embedding": [1, 2, 3, 4], "bm25_weight": weights.0, "vector_weight": weights.1, "filter": filter,
        });
        let mut titles = session.titles(arguments).await;
        titles.sort();
        seen.push(titles.concat());
    }
    assert!(seen.iter().all(|titles| *titles == seen[0]), "{filter}: {seen:?}");
    seen.swap_remove(0)
}

#[tokio::test]
async fn conditions_hold_on_both_sides() {
    let (_database, session) = stocked().await;
    for (filter, titles) in [
        (json!({}), "abcd"),
        (json!({ "source": "x.txt" }), "ab"),
        (json!({ "source": "z/ä ö.txt" }), "d"),
        (json!({ "source": "X.TXT" }), ""),
        (json!({ "language": "en" }), "ac"),
        (json!({ "language": "de-AT" }), "b"),
        (json!({ "metadata": { "department": "hr" } }), "ac"),
        (json!({ "metadata": { "tags": ["leave"] } }), "ab"),
        (json!({ "metadata": { "tags": ["pay", "leave"] } }), "a"),
        (json!({ "metadata": { "owner": { "floor": 3 } } }), "c"),
        (json!({ "metadata": { "year": 2026 } }), "b"),
        (json!({ "metadata": { "year": "2026" } }), ""),
        (json!({ "metadata": { "ratio": 0.5 } }), "c"),
        (json!({ "metadata": { "draft": true } }), "b"),
        (json!({ "metadata": {} }), "abcd"),
        (json!({ "source": "x.txt", "language": "en", "metadata": { "year": 2025 } }), "a"),
    ] {
        assert_eq!(passing(&session, filter.clone()).await, titles, "{filter}");
    }
}

#[tokio::test]
async fn dates_bound_when_a_document_was_stored() {
    let (database, session) = stocked().await;
    let set = "UPDATE documents SET created_at = CASE title WHEN 'a' THEN '2026-03-01 00:00+00'::timestamptz WHEN 'b' THEN '2026-03-01 09:00+00'
               WHEN 'c' THEN '2026-03-02 00:00+00' ELSE '2026-04-01 00:00+00' END";
    let demo = database.tenant("demo").await;
    database.execute(&format!("SET app.current_tenant_id = '{}'; {set}", demo.id)).await;
    for (filter, titles) in [
        (json!({ "created_after": "2026-03-01" }), "abcd"),
        (json!({ "created_after": "2026-03-01T09:00:00Z" }), "bcd"),
        (json!({ "created_before": "2026-03-02" }), "ab"),
        (json!({ "created_after": "2026-03-01T10:00:00+09:00", "created_before": "2026-03-31" }), "bc"),
        (json!({ "created_after": "2027-01-01" }), ""),
    ] {
        assert_eq!(passing(&session, filter.clone()).await, titles, "{filter}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_is_refused_rather_than_empty() {
    let (_database, session) = stocked().await;
    for (filter, words) in [
        (json!({ "created_after": "yesterday" }), "`filter.created_after` is \"yesterday\"; allowed is RFC 3339"),
        (json!({ "created_after": "2026-03-01T09:00:00" }), "`filter.created_after`"),
        (json!({ "created_before": "2026-02-30" }), "`filter.created_before` is \"2026-02-30\""),
        (json!({ "created_after": "2026-03-02", "created_before": "2026-03-01" }), "is not before created_before"),
        (json!({ "language": "klingon" }), "`filter.language` unknown language \"klingon\""),
        (json!({ "metadata": "hr" }), "`filter.metadata` does not fit"),
        (json!({ "metadata": { "a": "b\u{0}" } }), "`filter.metadata` has a NUL character"),
        (json!({ "source": "" }), "`filter.source` is empty"),
        (json!({ "sources": "x.txt" }), "unknown field `sources`, expected one of `source`"),
        (json!("x.txt"), "`filter` does not fit"),
    ] {
        let text = session.refused("hybrid_search", json!({ "query": "word", "filter": filter })).await;
        assert!(text.starts_with("invalid_input: ") && text.contains(words), "{filter}: {text}");
    }
}

#[tokio::test]
async fn a_selective_filter_fills_the_limit() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    // Better matches that do not pass come first by far.
    let load = "INSERT INTO documents (tenant_id, title, content, source, embedding, embedding_status, embedding_model)
                SELECT current_tenant_id(), CASE WHEN n % 8 = 0 THEN 'rare' ELSE 'word word' END || n, 'word of document ' || n,
                       CASE WHEN n % 8 = 0 THEN 'wanted' ELSE 'other' END, '[1,2,3,4]', 'embedded', 'test-model'
                FROM generate_series(1, 240) AS n";
    database.execute(&format!("SET app.current_tenant_id = '{}'; {load}", tenant.id)).await;
    for weights in [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)] {
        let arguments = json!({
            "query": "word", "query_embedding": [1, 2, 3, 4], "limit": 20, "filter": { "source": "wanted" },
            "bm25_weight": weights.0, "vector_weight": weights.1,
        });
        let answer = session.ok("hybrid_search", arguments).await;
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 20, "{weights:?}");
        assert!(results.iter().all(|row| row["source"] == "wanted"));
        assert_eq!(answer["total_candidates"], 30);
    }
}

#[tokio::test]
async fn metadata_of_every_shape_is_told_by_facets_or_looked_at() {
    let (database, session) = stocked().await;
    let demo = database.tenant("demo").await;
    let many: serde_json::Map<String, Value> = (0..250).map(|n| (format!("key{n}"), json!(n))).collect();
    for (title, metadata) in [
        ("e", json!({ "items": [{ "a": 1, "b": 2 }, { "a": 3, "b": 4 }], "none": null, "empty": {} })),
        ("f", json!({ "items": [{ "a": 1, "b": 4 }], "deep": { "er": [[1, 2], [3]] }, "a.b": { "c": 1 } })),
        ("g", json!(many)),
        ("h", json!({ "number": 1.0, "long": "x".repeat(3_000), "tags": [] })),
    ] {
        session
            .ok(
                "insert_document",
                json!({ "title": title, "content": "shared word", "metadata": metadata, "embedding": [1, 2, 3, 4] }),
            )
            .await;
    }
    for round in ["fresh", "merged", "changed"] {
        let moved = round == "changed";
        for (filter, titles) in [
            (json!({ "items": [{ "a": 1, "b": 2 }] }), "e"),
            (json!({ "items": [{ "a": 1 }, { "b": 4 }] }), "ef"),
            (json!({ "none": null }), "e"),
            (json!({ "empty": {} }), "e"),
            (json!({ "deep": { "er": [[2]] } }), "f"),
            (json!({ "a.b": { "c": 1 } }), "f"),
            (json!({ "a": { "b": { "c": 1 } } }), ""),
            (json!({ "key7": 7 }), "g"),
            (json!({ "key7": 8 }), ""),
            (json!({ "number": 1 }), "h"),
            (json!({ "long": "x".repeat(3_000) }), "h"),
            (json!({ "tags": [] }), "abh"),
            (json!({ "department": "hr" }), if moved { "c" } else { "ac" }),
            (json!({ "department": "legal" }), if moved { "a" } else { "" }),
        ] {
            assert_eq!(passing(&session, json!({ "metadata": filter })).await, titles, "{round}: {filter}");
        }
        let of_x = passing(&session, json!({ "source": "x.txt" })).await;
        assert_eq!(of_x, if moved { "a" } else { "ab" }, "{round}");
        if round == "fresh" {
            let admin = database.connect_admin().await;
            bailiwick::maintenance::run(&admin, None, bailiwick::maintenance::Scope::Everything, Some(demo.id))
                .await
                .unwrap();
        } else {
            let change = "UPDATE documents SET metadata = '{\"department\": \"legal\", \"tags\": []}' WHERE title = 'a'; UPDATE documents SET source = 'w.txt' WHERE title = 'b'";
            database.execute(&format!("SET app.current_tenant_id = '{}'; {change}", demo.id)).await;
        }
    }
    // A change of metadata leaves the document's vector where it was.
    assert_eq!(database.value::<i64>("SELECT count(*) FROM document_chunks WHERE embedding IS NULL").await, 0);
}

#[tokio::test]
async fn facets_decide_nothing_that_they_cannot_tell() {
    let (database, session) = stocked().await;
    // No document here has so many facets that all are looked at anyway.
    let items = json!({ "items": [{ "a": 1, "b": 2 }, { "a": 3, "b": 4 }], "nested": [[1], [2]] });
    session
        .ok(
            "insert_document",
            json!({ "title": "e", "content": "shared word", "metadata": items, "embedding": [1, 2, 3, 4] }),
        )
        .await;
    for (metadata, titles) in [
        (json!({ "items": [{ "a": 1, "b": 2 }] }), "e"),
        // Both are there, in different elements.
        (json!({ "items": [{ "a": 1, "b": 4 }] }), ""),
        (json!({ "nested": [[1, 2]] }), ""),
        (json!({ "nested": [[1], [2]] }), "e"),
        (json!({ "owner": {} }), "c"),
        (json!({ "department": "hr", "owner": {} }), "c"),
    ] {
        assert_eq!(passing(&session, json!({ "metadata": metadata })).await, titles, "{metadata}");
    }
    let demo = database.tenant("demo").await;
    let set = "UPDATE documents SET created_at = '2020-01-01' WHERE title = 'a'";
    database.execute(&format!("SET app.current_tenant_id = '{}'; {set}", demo.id)).await;
    assert_eq!(passing(&session, json!({ "source": "x.txt", "created_after": "2021-01-01" })).await, "b");
    assert_eq!(passing(&session, json!({ "language": "en", "created_before": "2021-01-01" })).await, "a");
}
