//! The worker: everything once, whatever goes wrong.

use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::embedding::worker::{Stopped, Worker};
use serde_json::json;

use super::setup::{Embedding, FakeService, Reply, plant};
use crate::harness::{TestDatabase, until};

async fn count(database: &TestDatabase, what: &str) -> i64 {
    database.value(&format!("SELECT count(*) FROM {what}")).await
}

/// A text of several passages.
fn long(words: usize) -> String {
    (0..words).map(|n| format!("Sentence number {n} of the text says something about leave. ")).collect()
}

#[tokio::test]
async fn what_waits_is_embedded_with_a_row_in_the_trail_and_in_the_ledger_for_each_batch() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    database
        .execute("INSERT INTO model_prices VALUES ('fake', 'fake-model', '2020-01-01', 1000, 0, NULL, 'a test')")
        .await;
    for n in 0..5 {
        plant(&database, &demo, &format!("Document {n}"), &long(100)).await;
    }
    let passages = count(&database, "document_chunks").await;
    assert!(passages > 8, "more than one batch of 8: {passages}");
    let done = embedding.work().await.unwrap();
    assert_eq!((done.documents, done.passages), (5, u64::try_from(passages).unwrap()));
    assert_eq!(count(&database, "documents WHERE embedding_status = 'embedded' AND embedding IS NOT NULL").await, 5);
    assert_eq!(count(&database, "document_chunks WHERE embedding IS NULL").await, 0);
    assert_eq!(count(&database, "embedding_attempts").await, 0);
    // Every text once, with its title before it.
    let mut texts = service.texts();
    assert!(texts.iter().all(|text| text.starts_with("Document ")));
    texts.sort();
    texts.dedup();
    assert_eq!(i64::try_from(texts.len()).unwrap(), passages);
    let requests = i64::try_from(service.requests()).unwrap();
    assert_eq!(count(&database, "audit_logs WHERE action = 'embed' AND outcome = 'ok'").await, requests);
    // 10 tokens a text at 1,000 USD for a million; each row is of one call of the trail.
    let spent = "SELECT sum(total_cost)::text FROM cost_tracking WHERE operation = 'embed'";
    assert_eq!(
        database.value::<String>(spent).await.parse::<f64>().unwrap(),
        0.01 * f64::from(i32::try_from(passages).unwrap())
    );
    let linked = "audit_logs a JOIN cost_tracking c ON c.tenant_id = a.tenant_id AND c.call_id = a.call_id WHERE a.action = 'embed'";
    assert_eq!(count(&database, linked).await, requests);
    // A document of one passage is its passage; of several, their mean.
    let wrong = "documents d WHERE 1 - (d.embedding <=> (SELECT avg(c.embedding::vector) FROM document_chunks c
                 WHERE c.tenant_id = d.tenant_id AND c.document_id = d.id)) < 0.9999";
    assert_eq!(count(&database, wrong).await, 0);
    assert_eq!(count(&database, "call_intents").await, 0);
}

#[tokio::test]
async fn a_batch_that_fails_leaves_the_document_to_words_and_is_tried_again() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    // A service that is away says nothing of the text: it may be away for ever.
    for _ in 0..3 {
        service.replies.lock().unwrap().push(Reply::Status(429, &[("retry-after", "600")]));
        assert!(matches!(embedding.work().await, Err(Stopped::Failed(_))));
        let attempts = "SELECT attempts FROM embedding_attempts";
        assert_eq!(database.value::<i32>(attempts).await, 0, "it counts for no document");
        database.execute("UPDATE embedding_attempts SET due_at = now()").await;
    }
    assert_eq!(count(&database, "cost_tracking").await, 0, "nothing is charged for what was not embedded");
    assert_eq!(count(&database, "audit_logs WHERE action = 'embed' AND outcome = 'error'").await, 3);
    let session = embedding.session(&demo).await;
    let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 1, "{answer}");
    let done = embedding.work().await.unwrap();
    assert_eq!(done.documents, 1);
    assert_eq!(count(&database, "cost_tracking WHERE operation = 'embed'").await, 1);
}

#[tokio::test]
async fn a_text_that_the_service_refuses_is_given_up_and_holds_no_other_up() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    for n in 0..3 {
        plant(&database, &demo, &format!("Document {n}"), "Something about leave.").await;
    }
    *service.refused.lock().unwrap() = Some(("Document 0", 400));
    for round in 1..=6 {
        // Whatever it came with is refused with it, and then taken alone.
        let done = embedding.work().await.unwrap();
        assert_eq!(done.documents, if round == 1 { 2 } else { 0 }, "round {round}");
        assert_eq!(done.failed, u64::from(round == 6), "round {round}");
        database.execute("UPDATE embedding_attempts SET due_at = now()").await;
    }
    assert_eq!(count(&database, "documents WHERE embedding_status = 'failed'").await, 1);
    assert_eq!(count(&database, "embedding_attempts WHERE error LIKE '%refuses the request (HTTP 400)%'").await, 1);
    let before = service.requests();
    embedding.work().await.unwrap();
    assert_eq!(service.requests(), before, "it is not tried any more");
    let status = embedding.session(&demo).await.ok("tenant_status", json!({})).await;
    assert_eq!(status["documents_not_embedded"], 1, "{status}");
    let failed = bailiwick::db::admin::failed_embeddings(&database.connect_admin().await).await.unwrap();
    assert_eq!((failed[0].tenant.as_str(), failed[0].documents), ("demo", 1), "doctor tells it");
}

/// However long a service is away, or set up wrongly, its fault is no document's.
#[tokio::test]
async fn what_fails_with_every_text_counts_for_none() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let mut options = service.options();
    options.tries = 1;
    for n in 0..7 {
        plant(&database, &demo, &format!("Document {n}"), "Something about leave.").await;
    }
    for (status, words) in [(500, "HTTP 500"), (404, "HTTP 404"), (401, "HTTP 401"), (400, "HTTP 400")] {
        // Whatever it is asked.
        *service.refused.lock().unwrap() = Some(("", status));
        let embedding = Embedding::on(&database, &service.embedder_with(options.clone())).await;
        for round in 0..3 {
            let stopped = embedding.work().await.unwrap_err().to_string();
            assert!(stopped.contains(words) || stopped.contains("left alone"), "{status}, {round}: {stopped}");
            assert_eq!(count(&database, "embedding_attempts WHERE attempts > 0").await, 0, "{status}, {round}");
            assert_eq!(count(&database, "documents WHERE embedding_status <> 'pending'").await, 0);
            database.execute("UPDATE embedding_attempts SET due_at = now()").await;
        }
    }
    *service.refused.lock().unwrap() = None;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    assert_eq!(embedding.work().await.unwrap().documents, 7, "the service is back");
}

#[tokio::test]
async fn an_answer_that_broke_off_is_in_the_ledger_no_more_than_once() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(vec![Reply::CutOff, Reply::CutOffBehind]).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    assert_eq!(embedding.work().await.unwrap().documents, 1);
    assert_eq!(service.requests(), 2, "what broke off in the middle was asked for again");
    assert_eq!(database.value::<i64>("SELECT sum(input_tokens) FROM cost_tracking").await, 10);
    assert_eq!(count(&database, "audit_logs WHERE action = 'embed' AND outcome = 'ok'").await, 1);
}

#[tokio::test]
async fn workers_side_by_side_embed_everything_once() {
    let database = TestDatabase::create().await;
    let service = FakeService::start(Vec::new()).await;
    let mut servers = Vec::new();
    let mut options = service.options();
    options.concurrency = 4;
    for _ in 0..3 {
        let embedding = Embedding::on(&database, &service.embedder_with(options.clone())).await;
        let worker = Worker::start(&embedding.calls, &embedding.embeddings, database.app()).unwrap();
        servers.push((embedding, worker));
    }
    for slug in ["demo", "enterprise"] {
        let tenant = database.tenant(slug).await;
        for n in 0..20 {
            plant(&database, &tenant, &format!("{slug} {n}"), &long(30)).await;
        }
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while count(&database, "documents WHERE embedding_status <> 'embedded'").await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "everything is embedded in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut texts = service.texts();
    let all = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), all, "no text twice");
    assert_eq!(i64::try_from(all).unwrap(), count(&database, "document_chunks").await);
    let tokens = "SELECT sum(input_tokens) FROM cost_tracking WHERE operation = 'embed'";
    assert_eq!(database.value::<i64>(tokens).await, 10 * i64::try_from(all).unwrap(), "each is charged once");
}

#[tokio::test]
async fn what_a_dead_server_had_claimed_is_taken_up_by_another() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(vec![Reply::Good, Reply::Slow(Duration::from_secs(60))]).await;
    let mut options = service.options();
    options.request_timeout = Duration::from_secs(60);
    let embedding = Embedding::on(&database, &service.embedder_with(options)).await;
    plant(&database, &demo, "Leave", &long(400)).await;
    let passages = count(&database, "document_chunks").await;
    assert!(passages > 8);
    // The first batch is stored; the second hangs when the worker dies.
    let dying = tokio::spawn({
        let work =
            bailiwick::embedding::worker::Work::new(embedding.calls.clone(), embedding.embeddings.clone()).unwrap();
        async move { work.everything(|_| ()).await }
    });
    until("the second batch is on its way", async || service.requests() == 2).await;
    dying.abort();
    assert_eq!(count(&database, "document_chunks WHERE embedding IS NOT NULL").await, 8);
    assert_eq!(embedding.work().await.unwrap().documents, 0, "its claim holds for a while");
    database.execute("UPDATE embedding_attempts SET due_at = now()").await;
    assert_eq!(embedding.work().await.unwrap().documents, 1);
    assert_eq!(count(&database, "document_chunks WHERE embedding IS NULL").await, 0);
    let mut texts = service.texts();
    texts.sort();
    texts.dedup();
    assert_eq!(i64::try_from(texts.len()).unwrap(), passages);
    let first = service.texts().len();
    assert_eq!(i64::try_from(first).unwrap(), passages, "what was stored is not embedded again");
}

#[tokio::test]
async fn a_changed_text_waits_anew_and_a_changed_source_does_not() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    embedding.work().await.unwrap();
    let status = "SELECT embedding_status FROM documents";
    let update = async |change: &str| {
        let id = demo.id.as_uuid();
        let context = format!("SET LOCAL app.current_tenant_id = '{id}'");
        database.execute(&format!("BEGIN; {context}; UPDATE documents SET {change}; COMMIT")).await;
    };
    update("source = 'elsewhere'").await;
    assert_eq!(database.value::<String>(status).await, "embedded");
    assert_eq!(count(&database, "document_chunks WHERE embedding IS NULL").await, 0);
    for change in ["content = 'Annual leave is twenty-five days.'", "title = 'Holidays'"] {
        update(change).await;
        assert_eq!(database.value::<String>(status).await, "pending", "{change}");
        assert_eq!(count(&database, "documents WHERE embedding IS NULL").await, 1);
        embedding.work().await.unwrap();
        assert_eq!(database.value::<String>(status).await, "embedded", "{change}");
    }
    assert_eq!(service.texts().last().unwrap(), "Holidays. Annual leave is twenty-five days.");
}

#[tokio::test]
async fn a_spent_budget_stops_the_embedding_of_that_tenant_alone() {
    let database = TestDatabase::create().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    for tenant in [&demo, &enterprise] {
        plant(&database, tenant, tenant.slug, "Annual leave is thirty days.").await;
    }
    database.execute("UPDATE tenants SET monthly_budget_usd = 0 WHERE slug = 'demo'").await;
    assert_eq!(embedding.work().await.unwrap().documents, 1);
    assert!(service.texts().iter().all(|text| text.starts_with("enterprise")));
    assert_eq!(count(&database, "audit_logs WHERE action = 'embed' AND outcome = 'denied'").await, 1);
    database.execute("UPDATE tenants SET monthly_budget_usd = 50; UPDATE embedding_attempts SET due_at = now()").await;
    assert_eq!(embedding.work().await.unwrap().documents, 1);
}

#[tokio::test]
async fn an_insert_can_wait_for_its_embedding_and_tells_how_far_it_is() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let options = CallOptions { deadline: Duration::from_secs(8), ..database.call_options() };
    let embedding = Embedding::with_options(&database, &service.embedder(), &options, true).await;
    let _worker = Worker::start(&embedding.calls, &embedding.embeddings, database.app()).unwrap();
    let session = embedding.session(&demo).await;
    let document = json!({ "title": "Leave", "content": long(200), "wait_for_embedding": true });
    let answer = session.ok("insert_document", document).await;
    assert_eq!((&answer["embedding_status"], &answer["note"]), (&json!("embedded"), &json!(null)), "{answer}");
    let search = session.ok("hybrid_search", json!({ "query": "sentence about leave" })).await;
    assert_eq!(search["mode"], "hybrid", "{search}");
    // A service that refuses costs the call its time and no more.
    service.replies.lock().unwrap().push(Reply::Status(401, &[]));
    let document = json!({ "title": "Later", "content": "Something else.", "wait_for_embedding": true });
    let answer = session.ok("insert_document", document).await;
    assert_eq!(answer["embedding_status"], "pending");
    assert!(answer["note"].as_str().unwrap().contains("not embedded in the time"), "{answer}");
    assert_eq!(count(&database, "audit_logs WHERE action = 'insert' AND outcome = 'ok'").await, 2);
}
