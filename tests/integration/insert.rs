//! Storing documents: quotas, atomicity, idempotency, and an index that follows.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Session, TestDatabase, error_text};

async fn session() -> (TestDatabase, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    (database, session)
}

/// How far what is counted differs from a recount; empty if nowhere.
async fn miscounts(database: &TestDatabase) -> String {
    let sql = "SELECT coalesce(string_agg(u::text || ' against ' || r::text, '; '), '') FROM tenant_usage u
               JOIN LATERAL (SELECT
                   (SELECT count(*) FROM documents d WHERE d.tenant_id = u.tenant_id) AS documents,
                   (SELECT coalesce(sum(octet_length(title) + octet_length(content)), 0) FROM documents d WHERE d.tenant_id = u.tenant_id) AS bytes,
                   (SELECT count(*) FROM document_chunks c WHERE c.tenant_id = u.tenant_id) AS chunks,
                   (SELECT coalesce(sum(t.frequency), 0) FROM document_chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
                    CROSS JOIN LATERAL chunk_terms(d.language, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start)) t
                    WHERE c.tenant_id = u.tenant_id) AS length,
                   (SELECT count(*) FROM fresh_postings f WHERE f.tenant_id = u.tenant_id) AS fresh) r ON true
               WHERE (u.document_count, u.storage_bytes, u.chunk_count, u.total_length, u.chunk_count)
                     <> (r.documents, r.bytes, r.chunks, r.length, r.fresh)";
    database.value(sql).await
}

#[tokio::test]
async fn a_document_quota_is_exact_at_any_concurrency_and_deletion_gives_back() {
    let (database, session) = session().await;
    database.execute("UPDATE tenants SET max_documents = 10 WHERE slug = 'demo'").await;
    let insert =
        |number: usize| session.call("insert_document", json!({ "title": format!("t{number}"), "content": "c" }));
    let results = join_all((0..30).map(insert)).await;
    let refused: Vec<_> = results.iter().filter(|result| result.is_error == Some(true)).map(error_text).collect();
    assert_eq!(refused.len(), 20);
    assert!(
        refused.iter().all(|text| text.starts_with("quota_exceeded: the tenant holds 10 documents and may hold 10.")),
        "{refused:?}"
    );
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 10);
    assert_eq!(miscounts(&database).await, "");

    let demo = database.tenant("demo").await;
    database.execute(&format!("SET app.current_tenant_id = '{}'; DELETE FROM documents WHERE title IN (SELECT title FROM documents LIMIT 1)", demo.id)).await;
    let stored = session.ok("insert_document", json!({ "title": "again", "content": "c" })).await;
    assert_eq!((&stored["quota"]["documents_used"], &stored["quota"]["documents_limit"]), (&json!(10), &json!(10)));
}

#[tokio::test]
async fn a_storage_quota_counts_bytes_and_a_refusal_leaves_no_trace() {
    let (database, session) = session().await;
    database.execute("UPDATE tenants SET max_storage_mb = 1 WHERE slug = 'demo'").await;
    let document = |bytes: usize| json!({ "title": "t", "content": "a word ".repeat(bytes / 7), "metadata": { "k": "v" }, "idempotency_key": format!("{bytes}") });
    session.ok("insert_document", document(700_000)).await;
    let text = session.refused("insert_document", document(400_000)).await;
    assert!(text.starts_with("quota_exceeded: the tenant's documents take 70"), "{text}");
    assert_eq!(miscounts(&database).await, "");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM idempotency_keys").await, 1);
    // The refused call's key is free again.
    database.execute("UPDATE tenants SET max_storage_mb = 2 WHERE slug = 'demo'").await;
    assert_eq!(session.ok("insert_document", document(400_000)).await["repeated"], false);
}

#[tokio::test]
async fn an_idempotency_key_stores_once_however_often_and_at_once_it_is_used() {
    let (database, session) = session().await;
    let document = json!({ "title": "t", "content": "c", "idempotency_key": "k" });
    let answers = join_all((0..10).map(|_| session.ok("insert_document", document.clone()))).await;
    assert!(answers.iter().all(|answer| answer["document_id"] == answers[0]["document_id"]));
    assert_eq!(answers.iter().filter(|answer| answer["repeated"] == false).count(), 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
    for other in [
        json!({ "title": "u", "content": "c", "idempotency_key": "k" }),
        json!({ "title": "t", "content": "c", "metadata": { "a": 1 }, "idempotency_key": "k" }),
        json!({ "title": "t", "content": "c", "embedding": [1, 0, 0, 0], "idempotency_key": "k" }),
    ] {
        let text = session.refused("insert_document", other).await;
        assert!(text.starts_with("invalid_input: `idempotency_key` was used before"), "{text}");
    }
    // The key is the tenant's own.
    let enterprise = database.tenant("enterprise").await;
    let theirs = Session::open(&database, &enterprise).await;
    assert_eq!(theirs.ok("insert_document", document).await["repeated"], false);
}

#[tokio::test]
async fn each_bad_field_is_named_with_what_was_given_and_what_is_allowed() {
    let (database, session) = session().await;
    let with = |field: &str, value: Value| {
        let mut document = json!({ "title": "t", "content": "c" });
        document[field] = value;
        document
    };
    for (document, words) in [
        (with("title", json!("  ")), "`title` is empty"),
        (with("title", json!("x".repeat(501))), "`title` has 501 characters; at most 500"),
        (with("title", json!("a\u{0}")), "`title` has a NUL character at position 1"),
        (with("content", json!("a\u{0}")), "`content` has a NUL character"),
        (with("content", json!("")), "`content` is empty"),
        (with("source", json!("\u{0}")), "`source` has a NUL character"),
        (with("metadata", json!({ "a\u{0}": 1 })), "`metadata` has a NUL character"),
        (with("metadata", json!({ "a": [{ "b": "\u{0}" }] })), "`metadata` has a NUL character"),
        (with("metadata", json!({ "a": "x".repeat(20_000) })), "`metadata` takes 20008 bytes"),
        (with("metadata", json!([1])), "`metadata` does not fit"),
        (with("embedding", json!([1, 2, 3])), "`embedding` has 3 dimensions; this database holds vectors of 4"),
        (with("embedding", json!([0, 0, 0, 0])), "`embedding` has only zeros"),
        (with("embedding", json!([1e39, 0, 0, 0])), "`embedding` has the component inf at index 0"),
        (with("embedding", json!([1, null, 0, 0])), "`embedding[1]` does not fit"),
        (with("language", json!("klingon")), "`language` unknown language \"klingon\""),
        (with("idempotency_key", json!("k".repeat(201))), "`idempotency_key` has 201 characters"),
        (with("titel", json!("t")), "unknown field `titel`"),
        (json!({ "title": "t" }), "missing field `content`"),
        (json!({ "title": 5, "content": "c" }), "`title` does not fit"),
    ] {
        let text = session.refused("insert_document", document).await;
        assert!(text.starts_with("invalid_input: ") && text.contains(words), "{words}: {text}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
}

#[tokio::test]
async fn text_survives_as_it_is_and_is_cut_into_passages_that_cover_it() {
    let (database, session) = session().await;
    let content = "# Überschrift\n\n🙂 e\u{301}té \u{202e}שלום‎ 한국어 \"quoted\" \\ %s $1 ''.\r\n\tEnd.\n".repeat(120);
    let stored =
        session.ok("insert_document", json!({ "title": "ﬁne 🙂", "content": content, "source": "ä b?c#d" })).await;
    assert!(stored["chunk_count"].as_u64().unwrap() > 5);
    assert_eq!(database.value::<String>("SELECT content FROM documents").await, content);
    assert_eq!(database.value::<String>("SELECT title FROM documents").await, "ﬁne 🙂");
    let gaps = "SELECT count(*) FROM documents d, generate_series(1, length(d.content)) AS position
                WHERE substr(d.content, position, 1) !~ '\\s' AND NOT EXISTS (
                    SELECT FROM document_chunks c WHERE c.document_id = d.id AND position > c.char_start AND position <= c.char_end)";
    assert_eq!(database.value::<i64>(gaps).await, 0);
    assert_eq!(miscounts(&database).await, "");
}

#[tokio::test]
async fn rows_that_psql_writes_are_searchable_and_follow() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'", demo.id)).await.unwrap();
    let long = "filler ".repeat(900) + "needle";
    app.execute(
        "INSERT INTO documents (tenant_id, title, content) VALUES (current_tenant_id(), 'Plain', $1)",
        &[&long],
    )
    .await
    .unwrap();
    let answer = session.ok("hybrid_search", json!({ "query": "needle" })).await;
    assert!(answer["results"][0]["passage"].as_str().unwrap().ends_with("needle"));
    app.batch_execute("UPDATE documents SET content = 'thimble', embedding = '[1,0,0,0]'").await.unwrap();
    assert_eq!(session.titles(json!({ "query": "needle" })).await, [""; 0]);
    assert_eq!(session.titles(json!({ "query": "thimble" })).await, ["Plain"]);
    assert_eq!(miscounts(&database).await, "");
    app.batch_execute("DELETE FROM documents").await.unwrap();
    assert_eq!(session.titles(json!({ "query": "thimble" })).await, [""; 0]);
    assert_eq!(miscounts(&database).await, "");
    let refused = app.batch_execute("RESET app.current_tenant_id; INSERT INTO documents (tenant_id, title, content) SELECT gen_random_uuid(), 't', 'c'").await;
    assert_eq!(refused.unwrap_err().code().unwrap().code(), "42501");
}

#[tokio::test]
async fn what_is_counted_equals_a_recount_after_any_changes() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'", demo.id)).await.unwrap();
    for step in 0..60_usize {
        match step * 7 % 5 {
            0 | 1 => drop(session.ok("insert_document", json!({ "title": format!("t{step}"), "content": "some words ".repeat(step * 9 + 1) })).await),
            2 => app.batch_execute(&format!("INSERT INTO documents (tenant_id, title, content) SELECT current_tenant_id(), 'bulk', repeat('주차장 words ', n * 100) FROM generate_series(1, {}) n", step % 4 + 1)).await.unwrap(),
            3 => app.batch_execute(&format!("UPDATE documents SET content = content || ' more {step}' WHERE length(title) % 2 = {}", step % 2)).await.unwrap(),
            _ => app.batch_execute("DELETE FROM documents WHERE id IN (SELECT id FROM documents ORDER BY content_sha256 LIMIT 2)").await.unwrap(),
        }
    }
    assert_eq!(miscounts(&database).await, "");
    assert!(database.value::<i64>("SELECT count(*) FROM documents").await > 10);
}

/// A batch makes its terms before it takes the tenant's lock: they are what the trigger makes of single documents.
#[tokio::test]
async fn a_batch_is_indexed_as_its_documents_one_by_one() {
    let (database, session) = session().await;
    let long: String =
        (0..900).map(|n| format!("Sentence {n} of a text that is long, größer als ein Block. ")).collect();
    let mut documents = Vec::new();
    for (title, content) in [
        ("Leave", "Annual leave is thirty days; it's \\ 'quoted'."),
        ("휴가 규정", "연차 휴가는 15일입니다. API v2 문서를 참고하십시오. 가"),
        ("Überstunden", "Überstunden größere Flüsse, ﬁne ① 🎉 café."),
        ("Long", long.as_str()),
    ] {
        let metadata = json!({ "kind": title, "nested": { "list": [1, 2.50, "x"] } });
        documents.push(json!({ "title": title, "content": content, "source": title, "metadata": metadata }));
    }
    // The one tenant gets them one by one, which its triggers index, and the other all at once.
    let enterprise = database.tenant("enterprise").await;
    let other = Session::open(&database, &enterprise).await;
    for document in &documents {
        other.ok("insert_document", document.clone()).await;
    }
    let mut batch = documents.remove(0);
    batch["more_documents"] = json!(documents);
    session.ok("insert_document", batch).await;
    let passages: i64 = database.value("SELECT count(*) FROM fresh_postings").await;
    assert!(passages > 100 && passages % 2 == 0, "{passages}");
    let indexed = |slug: &str| {
        format!(
            "SELECT d.title, c.ordinal, c.char_start, c.char_end, f.ordinal AS indexed, f.length, f.terms FROM tenants t
             JOIN documents d ON d.tenant_id = t.id JOIN document_chunks c ON c.tenant_id = t.id AND c.document_id = d.id
             LEFT JOIN fresh_postings f ON f.tenant_id = t.id AND f.chunk_no = c.chunk_no WHERE t.slug = '{slug}'"
        )
    };
    let (one, all) = (indexed("enterprise"), indexed("demo"));
    let others =
        format!("SELECT count(*) FROM (({one} EXCEPT ALL {all}) UNION ALL ({all} EXCEPT ALL {one})) AS differing");
    assert_eq!(database.value::<i64>(&others).await, 0);
    let terms = format!("SELECT count(*) FROM ({all}) AS a, unnest(a.terms)");
    assert!(database.value::<i64>(&terms).await > 1_000, "there is something to compare");
    assert_eq!(miscounts(&database).await, "");
}

/// Postings are believed to be of the chunk whose number they have, so whoever writes them ahead of it cannot choose the number.
#[tokio::test]
async fn terms_are_written_ahead_only_under_numbers_that_nobody_had() {
    let (database, session) = session().await;
    let (demo, other) = (database.tenant("demo").await, database.tenant("enterprise").await);
    for word in ["one", "two"] {
        session.ok("insert_document", json!({ "title": word, "content": "some words" })).await;
    }
    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'", demo.id)).await.unwrap();
    let ahead = "SELECT index_ahead(current_tenant_id(), '{0,1}', '{1,1}', '{planted:1,planted:1}')";
    let given_out = || async { database.value::<i32>("SELECT max(chunk_no) FROM document_chunks").await };
    let last = given_out().await;
    for (what, before) in [
        ("alone", ""),
        ("after numbers were taken", "SELECT allocate_chunk_numbers(current_tenant_id(), 2)"),
        ("after the last chunk was deleted", "DELETE FROM documents WHERE title = 'two'"),
        ("after others of its own", ahead),
        ("behind a savepoint", "SAVEPOINT here"),
    ] {
        app.batch_execute(&format!("BEGIN; {before}")).await.unwrap();
        let next: i32 = app.query_one("SELECT next_chunk_no FROM tenant_usage", &[]).await.unwrap().get(0);
        let first: i32 = app.query_one(ahead, &[]).await.unwrap().get(0);
        assert!(first == next && first > last, "{what}: {first}, where {next} was the next");
        app.batch_execute("ROLLBACK").await.unwrap();
    }
    for (what, statement, code) in [
        ("for another tenant", ahead.replace("current_tenant_id()", &format!("'{}'", other.id)), "42501"),
        ("more lengths than terms", ahead.replace("'{1,1}'", "'{1,1,1}'"), "23502"),
        ("no terms", ahead.replace("'{planted:1,planted:1}'", "NULL"), "23502"),
        ("numbers back", "SELECT allocate_chunk_numbers(current_tenant_id(), -1)".into(), "22023"),
        (
            "past the function",
            "INSERT INTO fresh_postings SELECT current_tenant_id(), 1, 0, 1, 'planted:1'".into(),
            "42501",
        ),
    ] {
        let error = app.batch_execute(&statement).await.expect_err(what);
        assert_eq!(error.as_db_error().unwrap().code().code(), code, "{what}: {error:?}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM fresh_postings WHERE terms @@ 'planted'").await, 0);
    assert_eq!((given_out().await, miscounts(&database).await.as_str()), (last, ""));
}

/// Batches take no lock to see whether they fit where the quota is far; at its edge it is exact all the same.
#[tokio::test]
async fn a_document_quota_is_exact_for_batches_too() {
    let (database, session) = session().await;
    database.execute("UPDATE tenants SET max_documents = 705 WHERE slug = 'demo'").await;
    let insert = |number: usize| {
        let more: Vec<_> = (1..10).map(|at| json!({ "title": format!("t{number}-{at}"), "content": "c" })).collect();
        session
            .call("insert_document", json!({ "title": format!("t{number}"), "content": "c", "more_documents": more }))
    };
    for round in 0..5 {
        join_all((0..20).map(|number| insert(round * 20 + number))).await;
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 705);
    assert_eq!(miscounts(&database).await, "");
}

/// Called for each passage, the functions took longer than what they compute: the planner puts their bodies in their place.
#[tokio::test]
async fn the_terms_of_passages_are_made_without_calls() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    let explain =
        "EXPLAIN SELECT e.* FROM documents d CROSS JOIN LATERAL chunk_entry(d.language, d.title, d.content, '{}') AS e";
    let rows = client.query(explain, &[]).await.unwrap();
    let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
    assert!(plan.contains("Function Scan on unnest word"), "{plan}");
    for function in ["chunk_entry", "chunk_terms", "text_terms", "east_asian_pairs"] {
        assert!(!plan.contains(&format!("on {function}")), "{function}: {plan}");
    }
}
