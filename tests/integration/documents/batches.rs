use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{read, session};

#[tokio::test]
async fn several_documents_are_one_call_with_a_result_each() {
    let (database, session) = session().await;
    let more: Vec<Value> = (1..50)
        .map(|at| json!({ "title": format!("Note {at}"), "content": format!("Note {at} is about number{at}."), "source": format!("n{at}"), "metadata": { "at": at }, "embedding": [1, at, 0, 0] }))
        .collect();
    let call = json!({ "title": "Note 0", "content": "Note 0 is about number0.", "more_documents": more, "idempotency_key": "all" });
    let answer = session.ok("insert_document", call.clone()).await;
    let results = answer["more_results"].as_array().unwrap();
    assert_eq!(results.len(), 49);
    assert!(results.iter().all(|result| result["outcome"] == "stored" && result["chunk_count"] == 1));
    let last = read(&session, results[48]["document_id"].as_str().unwrap()).await;
    assert_eq!(
        (&last["title"], &last["metadata"]["at"], &last["source"]),
        (&json!("Note 49"), &json!(49), &json!("n49"))
    );
    assert_eq!(session.titles(json!({ "query": "number17" })).await, ["Note 17"]);
    assert_eq!(
        session.titles(json!({ "query": "x", "query_embedding": [1, 30, 0, 0], "bm25_weight": 0, "limit": 1 })).await,
        ["Note 30"]
    );
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE action = 'insert'").await, 1);
    assert_eq!(session.ok("insert_document", call).await["more_results"], answer["more_results"]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 50);
    // The same again without a key: those with a source are known.
    let again = json!({ "title": "Another", "content": "other", "more_documents": more });
    let again = session.ok("insert_document", again).await;
    assert!(again["more_results"].as_array().unwrap().iter().all(|result| result["outcome"] == "repeated"));
}

#[tokio::test]
async fn what_the_quota_leaves_room_for_goes_in_and_the_rest_is_named() {
    let (database, session) = session().await;
    database.execute("UPDATE tenants SET max_documents = 4, max_storage_mb = 1 WHERE slug = 'demo'").await;
    let document = |name: &str, words: usize| json!({ "title": name, "content": "a word ".repeat(words) });
    let more = [
        document("large", 80_000),
        document("larger", 80_000),
        document("small", 1),
        document("small", 2),
        document("fifth", 3),
    ];
    let mut call = document("first", 1);
    call["more_documents"] = json!(more);
    let text = session.refused("insert_document", call.clone()).await;
    assert!(text.contains("`more_documents` and the first have 1120049 characters of content"), "{text}");
    call["more_documents"] = json!([
        document("large", 80_000),
        document("larger", 62_000),
        document("small", 1),
        document("small", 2),
        document("fifth", 3)
    ]);
    let filler = session.ok("insert_document", document("filler", 20_000)).await;
    assert_eq!(filler["repeated"], false);
    let answer = session.ok("insert_document", call).await;
    let outcomes: Vec<_> =
        answer["more_results"].as_array().unwrap().iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["stored", "quota_exceeded", "stored", "quota_exceeded", "quota_exceeded"]);
    let notes: Vec<_> =
        answer["more_results"].as_array().unwrap().iter().filter_map(|result| result["note"].as_str()).collect();
    assert!(
        notes[0].starts_with("the tenant's documents take ")
            && notes[1].starts_with("the tenant holds 4 documents and may hold 4."),
        "{notes:?}"
    );
    assert_eq!(answer["quota"]["documents_used"], 4);
    let text = session
        .refused(
            "insert_document",
            json!({ "title": "t", "content": "c", "more_documents": [{ "title": "t", "content": "c" }] }),
        )
        .await;
    assert!(text.starts_with("quota_exceeded: the tenant holds 4 documents and may hold 4."), "{text}");
}

#[tokio::test]
async fn a_bad_document_is_named_by_its_place_and_keeps_all_out() {
    let (database, session) = session().await;
    let call = json!({ "title": "t", "content": "c", "more_documents": [{ "title": "t", "content": "c" }, { "title": "", "content": "c", "language": "klingon" }] });
    let text = session.refused("insert_document", call).await;
    assert!(
        text.contains("`more_documents[1].title` is empty") && text.contains("`more_documents[1].language` unknown"),
        "{text}"
    );
    let many: Vec<Value> = (0..100).map(|at| json!({ "title": "t", "content": format!("c{at}") })).collect();
    let text =
        session.refused("insert_document", json!({ "title": "t", "content": "c", "more_documents": many })).await;
    assert!(text.contains("`more_documents` has 100 documents; at most 99"), "{text}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
}

#[tokio::test]
async fn batches_that_replace_and_updates_at_once_end_without_a_deadlock() {
    let (database, session) = session().await;
    let document = |at: usize, round: usize| json!({ "title": format!("d{at}"), "content": format!("text {at} of round {round}"), "source": format!("s{at}") });
    let batch = |order: Vec<usize>, round: usize| {
        let mut documents = order.into_iter().map(|at| document(at, round));
        let mut call = documents.next().unwrap();
        call["more_documents"] = documents.collect();
        call["replace"] = true.into();
        call
    };
    let stored = session.ok("insert_document", batch((0..12).collect(), 0)).await;
    let ids: Vec<String> = stored["more_results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["document_id"].as_str().unwrap().to_owned())
        .collect();
    for round in 1..6 {
        let forth = session.call("insert_document", batch((0..12).collect(), round));
        let back = session.call("insert_document", batch((0..12).rev().collect(), round + 100));
        let updates =
            join_all(ids.iter().map(|id| {
                session.call("update_document", json!({ "document_id": id, "metadata": { "round": round } }))
            }));
        let (forth, back, updates) = tokio::join!(forth, back, updates);
        for result in [forth, back].iter().chain(&updates) {
            assert_ne!(result.is_error, Some(true), "{result:?}");
        }
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 12);
    let twice = session.ok("insert_document", json!({ "title": "a", "content": "one", "source": "twice", "replace": true, "more_documents": [
        { "title": "a", "content": "one", "source": "twice" }, { "title": "b", "content": "two", "source": "twice" } ] })).await;
    let outcomes: Vec<_> =
        twice["more_results"].as_array().unwrap().iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["repeated", "conflict"]);
}
