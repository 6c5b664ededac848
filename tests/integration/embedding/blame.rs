//! Whose fault a failure is, and who pays for an answer that is of no use.

use bailiwick::embedding::worker::Stopped;
use serde_json::json;

use super::setup::{Embedding, FakeService, Reply, plant};
use crate::harness::TestDatabase;

const DUE: &str = "UPDATE embedding_attempts SET due_at = now()";

async fn count(database: &TestDatabase, what: &str) -> i64 {
    database.value(&format!("SELECT count(*) FROM {what}")).await
}

async fn price(database: &TestDatabase) {
    database
        .execute("INSERT INTO model_prices VALUES ('fake', 'fake-model', '2020-01-01', 1000, 0, NULL, 'a test')")
        .await;
}

/// Cost rows that are of a call of the trail with this outcome, and their tokens.
async fn charged(database: &TestDatabase, of: &str) -> (i64, i64) {
    let joined = format!("FROM cost_tracking c JOIN audit_logs a USING (tenant_id, call_id) WHERE {of}");
    let tokens = format!("SELECT coalesce(sum(c.input_tokens), 0)::bigint {joined}");
    (database.value(&format!("SELECT count(*) {joined}")).await, database.value(&tokens).await)
}

/// An answer of a shape that no text is to blame for.
fn useless() -> Reply {
    Reply::Text(r#"{"data":[],"usage":{"prompt_tokens":70}}"#.to_owned())
}

#[tokio::test]
async fn useless_answers_are_charged_and_the_service_is_left_alone() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    price(&database).await;
    let service = FakeService::start(vec![useless(); 20]).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    for n in 0..3 {
        plant(&database, &demo, &format!("Document {n}"), "Something about leave.").await;
    }
    for _ in 0..4 {
        assert!(matches!(embedding.work().await, Err(Stopped::Failed(_))));
        database.execute(DUE).await;
    }
    // The documents, and the text that tells whether they are to blame.
    assert_eq!(service.requests(), 2, "what cannot succeed is not bought again and again");
    assert_eq!(
        charged(&database, "a.outcome = 'ok' AND a.details->>'unusable' LIKE '%number of vectors%'").await,
        (2, 140)
    );
    assert_eq!(count(&database, "cost_tracking").await, 2);
    assert_eq!(
        database
            .value::<String>(
                "SELECT spent_usd::float8::text FROM budget_ledger WHERE period = 'month' AND user_id = ''"
            )
            .await,
        "0.14"
    );
    assert_eq!(count(&database, "call_intents").await, 0, "nothing is held any more");
    assert_eq!(count(&database, "embedding_attempts WHERE attempts > 0").await, 0, "no document is to blame");
    assert_eq!(count(&database, "document_chunks WHERE embedding IS NOT NULL").await, 0);
}

/// As Python writes it, for any text: it is not bought document by document, and what it says it has read is charged.
#[tokio::test]
async fn a_service_that_answers_no_numbers_to_everything_is_left_alone() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    price(&database).await;
    let row = |at: usize| format!(r#"{{"index":{at},"embedding":[NaN,0,0,0]}}"#);
    let rows = |count| (0..count).map(row).collect::<Vec<_>>().join(",");
    let reply = |count| Reply::Text(format!(r#"{{"data":[{}],"usage":{{"prompt_tokens":70}}}}"#, rows(count)));
    let service = FakeService::start([reply(8)].into_iter().chain(vec![reply(1); 50]).collect()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    for n in 0..20 {
        plant(&database, &demo, &format!("Document {n}"), "Something about leave.").await;
    }
    for _ in 0..4 {
        assert!(matches!(embedding.work().await, Err(Stopped::Failed(_))));
        database.execute(DUE).await;
    }
    assert_eq!(service.requests(), 2);
    assert_eq!(charged(&database, "a.outcome = 'ok'").await, (2, 140));
    assert_eq!(count(&database, "embedding_attempts WHERE attempts > 0").await, 0, "no document is to blame");
}

/// One text that makes the service answer with a vector too few keeps nobody else's from theirs, nor queries.
#[tokio::test]
async fn a_text_that_spoils_the_answer_is_found_and_the_others_are_embedded() {
    let database = TestDatabase::create().await;
    let (demo, other) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let service = FakeService::start(Vec::new()).await;
    *service.dropped.lock().unwrap() = Some("Spoiler");
    let embedding = Embedding::on(&database, &service.embedder()).await;
    for n in 0..10 {
        plant(&database, &demo, &format!("Document {n}"), "Something about leave.").await;
    }
    plant(&database, &demo, "Spoiler", "Something about leave.").await;
    plant(&database, &other, "Another", "Something about leave.").await;
    let done = embedding.work().await.unwrap();
    assert_eq!((done.documents, done.failed), (11, 0));
    assert_eq!(count(&database, "embedding_attempts WHERE attempts > 0 AND error LIKE '%number of vectors%'").await, 1);
    let answer = embedding.session(&demo).await.ok("hybrid_search", json!({ "query": "about leave" })).await;
    assert_eq!(answer["mode"], "hybrid", "{answer}");
    // It is given up in the end, and a move is not stopped by it either.
    for _ in 0..2 {
        database.execute(DUE).await;
        embedding.work().await.unwrap();
    }
    assert_eq!(count(&database, "documents WHERE embedding_status = 'failed'").await, 1);
    let new = FakeService::of_dimensions(6, Vec::new()).await;
    *new.dropped.lock().unwrap() = Some("Spoiler");
    let next = new.embedder();
    let model_id = embedding.calls.system().register_embedder(next.model()).await.unwrap();
    let embeddings = bailiwick::embedding::Embeddings::on(next, model_id, true);
    let (client, observer) = (database.connect_admin().await, database.connect_admin().await);
    let moving = bailiwick::embedding::moving::run(&client, &observer, &embedding.calls, &embeddings, |_| ());
    assert_eq!(moving.await.unwrap().passages, 11);
}

#[tokio::test]
async fn a_text_without_a_vector_is_bought_twice_and_then_given_up() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    price(&database).await;
    let service = FakeService::start(Vec::new()).await;
    *service.zeroed.lock().unwrap() = Some("Document 0");
    let embedding = Embedding::on(&database, &service.embedder()).await;
    plant(&database, &demo, "Document 0", "Something about leave.").await;
    for round in 1..=4 {
        let failed = embedding.work().await.unwrap().failed;
        assert_eq!(failed, u64::from(round == 2), "round {round}");
        database.execute(DUE).await;
    }
    assert_eq!(count(&database, "documents WHERE embedding_status = 'failed'").await, 1);
    assert_eq!(count(&database, "embedding_attempts WHERE error LIKE '%only zeros%'").await, 1);
    // Each time the text itself, and the one that tells whether the service is well.
    assert_eq!(service.requests(), 4);
    assert_eq!(charged(&database, "a.details->>'unusable' LIKE '%only zeros%'").await, (2, 20));
    assert_eq!(charged(&database, "a.details->>'documents' = '0' AND a.details->>'stored' = '0'").await, (2, 20));
    assert_eq!(count(&database, "cost_tracking").await, 4);
    // Beside others it is found out, and they are embedded.
    for n in 1..4 {
        plant(&database, &demo, &format!("Document {n}"), "Something about leave.").await;
    }
    let client = database.connect_admin().await;
    bailiwick::db::admin::embed_again(&client, true).await.unwrap();
    assert_eq!(embedding.work().await.unwrap().documents, 3);
}

#[tokio::test]
async fn a_lone_document_is_blamed_only_where_the_service_embeds_other_texts() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let mut options = service.options();
    options.tries = 1;
    plant(&database, &demo, "Document 0", "Something about leave.").await;
    for status in [500, 502, 400] {
        *service.refused.lock().unwrap() = Some(("", status));
        let embedding = Embedding::on(&database, &service.embedder_with(options.clone())).await;
        for _ in 0..2 {
            assert!(matches!(embedding.work().await, Err(Stopped::Failed(_))), "{status}");
            assert_eq!(count(&database, "embedding_attempts WHERE attempts > 0").await, 0, "{status}");
            database.execute(DUE).await;
        }
    }
    *service.refused.lock().unwrap() = Some(("Document", 500));
    let embedding = Embedding::on(&database, &service.embedder_with(options)).await;
    for round in 1..=6 {
        assert_eq!(embedding.work().await.unwrap().failed, u64::from(round == 6), "round {round}");
        database.execute(DUE).await;
    }
    assert_eq!(count(&database, "documents WHERE embedding_status = 'failed'").await, 1);
}

#[tokio::test]
async fn a_query_whose_vector_is_useless_is_charged_and_searched_by_words() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    price(&database).await;
    let service = FakeService::start(Vec::new()).await;
    *service.zeroed.lock().unwrap() = Some("annual");
    let embedding = Embedding::on(&database, &service.embedder()).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    let session = embedding.session(&demo).await;
    let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(answer["mode"], "bm25_only", "{answer}");
    assert!(answer["mode_reason"].as_str().unwrap().contains("only zeros"), "{answer}");
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    assert_eq!(charged(&database, "a.resource = 'worker/embed_query' AND a.outcome = 'ok'").await, (1, 10));
}

/// What a move pays for nothing stands in the ledger, too, and one text does not stop it.
#[tokio::test]
async fn a_refused_passage_does_not_stop_a_move_and_a_useless_vector_is_charged() {
    use bailiwick::embedding::moving;
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    let before = Embedding::on(&database, &old.embedder()).await;
    for n in 0..20 {
        plant(&database, &demo, &format!("Note {n}."), "Something about leave.").await;
    }
    before.work().await.unwrap();
    let new = FakeService::of_dimensions(6, Vec::new()).await;
    *new.refused.lock().unwrap() = Some(("Note 7.", 400));
    *new.zeroed.lock().unwrap() = Some("Note 15.");
    let next = new.embedder();
    let model_id = before.calls.system().register_embedder(next.model()).await.unwrap();
    let embeddings = bailiwick::embedding::Embeddings::on(next.clone(), model_id, true);
    let (client, observer) = (database.connect_admin().await, database.connect_admin().await);
    let moved = moving::run(&client, &observer, &before.calls, &embeddings, |_| ()).await.unwrap();
    assert_eq!((moved.passages, moved.pending_documents), (18, 2));
    let embedded = "documents WHERE embedding_model = 'fake-model-6' AND embedding_status = 'embedded'";
    assert_eq!(count(&database, embedded).await, 18);
    assert_eq!(count(&database, "documents WHERE embedding IS NULL AND title IN ('Note 7.', 'Note 15.')").await, 2);
    // Its batch, and itself.
    let wasted = "SELECT count(*) FROM audit_logs a JOIN cost_tracking c USING (tenant_id, call_id) WHERE a.details->>'unusable' IS NOT NULL";
    assert_eq!(database.value::<i64>(wasted).await, 2);
    // What is left is the worker's, as soon as it can be embedded.
    (*new.refused.lock().unwrap(), *new.zeroed.lock().unwrap()) = (None, None);
    let after = Embedding::on(&database, &next).await;
    assert_eq!(after.work().await.unwrap().documents, 2);
    assert_eq!(count(&database, "documents WHERE embedding_model = 'fake-model-6'").await, 20);
}
