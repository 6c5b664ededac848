use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{paragraphs, read, session, stored};
use crate::harness::{Session, TestDatabase};

/// Vectors by chunk, with the number of each chunk.
async fn chunks(database: &TestDatabase, id: &str) -> Vec<(i32, Option<String>)> {
    let sql =
        "SELECT chunk_no, embedding::text FROM document_chunks WHERE document_id = $1::text::uuid ORDER BY ordinal";
    let rows = database.connect_admin().await.query(sql, &[&id]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Gives every chunk a vector of its own, as an embedder does.
async fn embed(database: &TestDatabase, id: &str) {
    database
        .execute(&format!(
            "UPDATE document_chunks SET embedding = l2_normalize(('[1,' || ordinal || ',0,1]')::vector)::halfvec, embedding_model_id = (SELECT min(id) FROM embedding_models)
             WHERE document_id = '{id}';
             UPDATE documents SET embedding = '[1,1,0,1]', embedding_model = 'test-model', embedding_status = 'embedded' WHERE id = '{id}'"
        ))
        .await;
}

async fn update(session: &Session, id: &str, mut change: Value) -> Value {
    change["document_id"] = id.into();
    session.ok("update_document", change).await
}

#[tokio::test]
async fn only_what_is_given_changes_and_is_found_at_once() {
    let (database, session) = session().await;
    let id = stored(
        &session,
        json!({ "title": "Old name", "content": "a plain text", "source": "a.txt", "metadata": { "k": 1 } }),
    )
    .await;
    let before = read(&session, &id).await;
    let answer = update(&session, &id, json!({ "title": "Fresh name" })).await;
    assert_eq!(answer["changed"], json!(["title"]));
    assert!(answer["updated_at"].as_str() > before["updated_at"].as_str());
    let after = read(&session, &id).await;
    for field in ["content", "source", "metadata", "language", "created_at"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(session.titles(json!({ "query": "fresh" })).await, ["Fresh name"]);
    assert_eq!(session.titles(json!({ "query": "old" })).await, [""; 0]);

    update(&session, &id, json!({ "metadata": { "team": "hr" }, "source": "" })).await;
    assert_eq!(
        session.titles(json!({ "query": "text", "filter": { "metadata": { "team": "hr" } } })).await,
        ["Fresh name"]
    );
    assert_eq!(session.titles(json!({ "query": "text", "filter": { "metadata": { "k": 1 } } })).await, [""; 0]);
    assert_eq!(session.titles(json!({ "query": "text", "filter": { "source": "a.txt" } })).await, [""; 0]);
    assert_eq!(read(&session, &id).await.get("source"), None);

    let answer =
        update(&session, &id, json!({ "content": "올해 연차 휴가는 스물다섯 일이며 내년에는 더 늘어난다." })).await;
    assert_eq!((&answer["changed"], &answer["language"]), (&json!(["content", "language"]), &json!("ko")));
    assert_eq!(session.titles(json!({ "query": "연차 휴가" })).await, ["Fresh name"]);
    assert_eq!(session.titles(json!({ "query": "plain" })).await, [""; 0]);
    // A language that was chosen outlasts the text, one that was detected does not.
    let german = "Der Vorstand hat den Haushalt für das kommende Jahr genehmigt und darüber berichtet.";
    update(&session, &id, json!({ "language": "fr" })).await;
    assert_eq!(update(&session, &id, json!({ "content": german })).await["language"], "fr");
    let answer = update(&session, &id, json!({ "language": "de" })).await;
    let nothing = update(&session, &id, json!({ "title": "Fresh name" })).await;
    assert_eq!((&nothing["changed"], &nothing["updated_at"]), (&json!([]), &answer["updated_at"]));
    assert_eq!(
        database
            .value::<i64>(
                "SELECT document_count FROM tenant_usage u JOIN tenants t ON t.id = u.tenant_id WHERE slug = 'demo'"
            )
            .await,
        1
    );
}

#[tokio::test]
async fn vectors_stay_where_the_text_does() {
    let (database, session) = session().await;
    let content = paragraphs(12);
    let id = stored(&session, json!({ "title": "Vectors", "content": content })).await;
    embed(&database, &id).await;
    let vectors =
        |chunks: &[(i32, Option<String>)]| chunks.iter().map(|(_, vector)| vector.clone()).collect::<Vec<_>>();
    let before = chunks(&database, &id).await;
    assert!(before.len() > 4 && before.iter().all(|(_, vector)| vector.is_some()));
    for change in [
        json!({ "title": "Other" }),
        json!({ "metadata": { "a": 1 } }),
        json!({ "source": "s" }),
        json!({ "language": "de" }),
    ] {
        let answer = update(&session, &id, change.clone()).await;
        assert_eq!(answer["embedding_status"], "embedded", "{change}");
        let after = chunks(&database, &id).await;
        assert_eq!(vectors(&after), vectors(&before), "{change}");
        assert!(after[0].0 > before[0].0, "{change}: a number's postings never change");
    }
    // A paragraph at the end: the passages before it are as they were.
    let longer = format!("{content}{}", "A wholly new ending with other words. ".repeat(40));
    let answer = update(&session, &id, json!({ "content": longer })).await;
    let after = chunks(&database, &id).await;
    let (count, kept) =
        (answer["chunk_count"].as_u64().unwrap() as usize, answer["kept_chunks"].as_u64().unwrap() as usize);
    assert_eq!(count, after.len());
    assert!(kept >= before.len() - 1 && kept < count, "{kept} of {count}");
    assert_eq!(vectors(&after)[..kept], vectors(&before)[..kept]);
    assert!(after[kept..].iter().all(|(_, vector)| vector.is_none()));
    assert_eq!(answer["embedding_status"], "pending");
    assert!(database.value::<bool>("SELECT embedding IS NULL AND embedding_model IS NULL FROM documents").await);
    // Back again, once the rest was embedded: every passage of the old text is known, so it stays embedded.
    embed(&database, &id).await;
    let answer = update(&session, &id, json!({ "content": longer.replace("ending", "finale") })).await;
    assert!(answer["kept_chunks"].as_u64().unwrap() as usize >= before.len() - 1);
    assert_eq!(answer["embedding_status"], "pending");
    let whole = update(&session, &id, json!({ "embedding": [0, 0, 1, 0] })).await;
    assert_eq!((&whole["changed"], &whole["embedding_status"]), (&json!(["embedding"]), &json!("embedded")));
    let placed = chunks(&database, &id).await;
    assert_eq!(placed[0].1.as_deref(), Some("[0,0,1,0]"));
    assert!(placed[1..].iter().all(|(_, vector)| vector.is_none()));
    // A vector of the caller's for the whole says nothing of another whole.
    let answer = update(&session, &id, json!({ "content": content })).await;
    assert_eq!((&answer["kept_chunks"], &answer["embedding_status"]), (&json!(0), &json!("pending")));
    assert!(chunks(&database, &id).await.iter().all(|(_, vector)| vector.is_none()));
}

#[tokio::test]
async fn of_two_writers_who_read_the_same_one_wins_and_the_other_is_told() {
    let (database, session) = session().await;
    let id = stored(&session, json!({ "title": "Contended", "content": "round 0" })).await;
    for round in 0..5 {
        let seen = read(&session, &id).await["updated_at"].clone();
        let writers = (0..6).map(|writer| {
            let (session, id, seen) = (&session, &id, &seen);
            async move {
                let content = format!("round {round} by writer {writer}");
                session
                    .call(
                        "update_document",
                        json!({ "document_id": id, "content": content, "expected_updated_at": seen }),
                    )
                    .await
            }
        });
        let results = join_all(writers).await;
        let won: Vec<_> = results.iter().filter(|result| result.is_error != Some(true)).collect();
        assert_eq!(won.len(), 1, "round {round}");
        let now = read(&session, &id).await["updated_at"].as_str().unwrap().to_owned();
        for lost in results.iter().filter(|result| result.is_error == Some(true)) {
            let text = crate::harness::error_text(lost);
            assert!(text.starts_with("conflict: ") && text.contains(&now), "{text}");
        }
    }
    let outcomes =
        "SELECT count(*) FROM audit_logs WHERE resource = 'tools/update_document' AND error_message = 'conflict'";
    assert_eq!(database.value::<i64>(outcomes).await, 25);
    // Without an expectation the last one wins, and none is lost to a deadlock.
    let writers =
        (0..6).map(|writer| {
            let (session, id) = (&session, &id);
            async move {
                session.ok("update_document", json!({ "document_id": id, "metadata": { "writer": writer } })).await
            }
        });
    let mut times: Vec<String> =
        join_all(writers).await.iter().map(|answer| answer["updated_at"].to_string()).collect();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), 6, "every change has a moment of its own");
}

#[tokio::test]
async fn a_key_changes_once_and_is_no_other_requests() {
    let (_database, session) = session().await;
    let id = stored(&session, json!({ "title": "One", "content": "c", "idempotency_key": "insert" })).await;
    let change = json!({ "document_id": id, "title": "Two", "idempotency_key": "k" });
    let first = session.ok("update_document", change.clone()).await;
    update(&session, &id, json!({ "title": "Three" })).await;
    let again = session.ok("update_document", change).await;
    assert_eq!((&again["repeated"], &again["updated_at"]), (&json!(true), &first["updated_at"]));
    assert_eq!(read(&session, &id).await["title"], "Three");
    for key in ["k", "insert"] {
        let text = session
            .refused("update_document", json!({ "document_id": id, "title": "Four", "idempotency_key": key }))
            .await;
        assert!(text.starts_with("invalid_input: `idempotency_key` was used before"), "{text}");
    }
}

#[tokio::test]
async fn a_quota_holds_for_changes_too() {
    let (database, session) = session().await;
    database.execute("UPDATE tenants SET max_storage_mb = 1 WHERE slug = 'demo'").await;
    let id = stored(&session, json!({ "title": "t", "content": "small" })).await;
    update(&session, &id, json!({ "content": "a word ".repeat(100_000) })).await;
    let other = stored(&session, json!({ "title": "t", "content": "small too" })).await;
    let text =
        session.refused("update_document", json!({ "document_id": other, "content": "a word ".repeat(80_000) })).await;
    assert!(text.starts_with("quota_exceeded: "), "{text}");
    assert_eq!(read(&session, &other).await["content"], "small too");
    update(&session, &id, json!({ "content": "small again" })).await;
    update(&session, &other, json!({ "content": "a word ".repeat(80_000) })).await;
    let miscount = "SELECT storage_bytes - (SELECT sum(octet_length(title) + octet_length(content)) FROM documents d WHERE d.tenant_id = u.tenant_id)::bigint FROM tenant_usage u JOIN tenants t ON t.id = u.tenant_id WHERE slug = 'demo'";
    assert_eq!(database.value::<i64>(miscount).await, 0);
}

#[tokio::test]
async fn each_bad_field_is_named() {
    let (_database, session) = session().await;
    let id = stored(&session, json!({ "title": "t", "content": "c" })).await;
    for (mut change, words) in [
        (json!({}), "there is nothing to change"),
        (json!({ "title": " " }), "`title` is empty"),
        (json!({ "source": "é".repeat(1_500) }), "`source` takes 3000 bytes in UTF-8; at most 2000"),
        (json!({ "title": "t", "expected_updated_at": "yesterday" }), "`expected_updated_at` is no moment"),
        (json!({ "embedding": [1] }), "`embedding` has 1 dimensions"),
        (json!({ "language": "klingon" }), "`language` unknown language"),
    ] {
        change["document_id"] = id.as_str().into();
        let text = session.refused("update_document", change).await;
        assert!(text.starts_with("invalid_input: ") && text.contains(words), "{words}: {text}");
    }
}
