//! Vectors of queries: made once, in time or not at all, and charged once.

use std::time::{Duration, Instant};

use serde_json::json;

use super::setup::{Embedding, FakeService, Reply, plant};
use crate::harness::{TestDatabase, until};

/// How long queries wait unless told otherwise.
const USUAL: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_search_is_hybrid_and_its_query_is_embedded_once() {
    let database = TestDatabase::create().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    for tenant in [&demo, &enterprise] {
        plant(&database, tenant, "Leave", "Annual leave is thirty days.").await;
    }
    embedding.work().await.unwrap();
    let before = service.requests();
    let session = embedding.session(&demo).await;
    let search = json!({ "query": "annual leave" });
    for _ in 0..3 {
        let answer = session.ok("hybrid_search", search.clone()).await;
        assert_eq!(answer["mode"], "hybrid", "{answer}");
    }
    assert_eq!(service.requests() - before, 1, "the second and third come from the cache");
    let at_once = (0..8).map(|_| session.ok("hybrid_search", json!({ "query": "all at once" })));
    futures_util::future::join_all(at_once).await;
    assert_eq!(service.requests() - before, 2, "equal queries wait for the same flight");
    embedding.session(&enterprise).await.ok("hybrid_search", search).await;
    assert_eq!(service.requests() - before, 3, "a tenant shares its vectors with no other");
    // Charged once each, to who asked.
    let rows = "SELECT count(*) FROM cost_tracking WHERE operation = 'search' AND input_tokens = 10 AND metadata @> '{\"unpriced\": true}'";
    assert_eq!(database.value::<i64>(rows).await, 3);
    let spent_by = "SELECT count(DISTINCT tenant_id) FROM cost_tracking WHERE operation = 'search'";
    assert_eq!(database.value::<i64>(spent_by).await, 2);
}

#[tokio::test]
async fn a_query_that_cannot_be_embedded_in_time_is_searched_by_words() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let mut options = service.options();
    options.request_timeout = Duration::from_secs(30);
    let embedder = service.embedder_with(options);
    let embedding = Embedding::patient(&database, &embedder, USUAL).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    embedding.work().await.unwrap();
    let session = embedding.session(&demo).await;
    let by_words = async |query: &str, reason: &str| {
        let answer = session.ok("hybrid_search", json!({ "query": query })).await;
        assert_eq!(answer["mode"], "bm25_only", "{answer}");
        assert!(answer["mode_reason"].as_str().unwrap().contains(reason), "{answer}");
        assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    };
    service.replies.lock().unwrap().push(Reply::Slow(Duration::from_secs(8)));
    let known = service.texts().len();
    by_words("annual leave", "did not come in time").await;
    assert_eq!(service.texts().len(), known, "it waited until the service answered");
    // It comes after all, and is kept for the next.
    until("the service answers", async || service.texts().len() > known).await;
    let is_hybrid = async || session.ok("hybrid_search", json!({ "query": "annual leave" })).await["mode"] == "hybrid";
    until("the vector is there", is_hybrid).await;
    assert_eq!(service.texts().len(), known + 1, "nobody asked again");
    service.replies.lock().unwrap().push(Reply::Status(401, &[]));
    by_words("thirty days leave", "refuses").await;
    let vectors_only = json!({ "query": "leave, by vectors", "bm25_weight": 0 });
    service.replies.lock().unwrap().push(Reply::Status(401, &[]));
    assert!(session.refused("hybrid_search", vectors_only).await.starts_with("unavailable"));
}

/// A backlog takes as long as it takes; somebody waits for a query.
#[tokio::test]
async fn a_query_does_not_wait_behind_passages() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let mut options = service.options();
    (options.concurrency, options.request_timeout) = (1, Duration::from_secs(60));
    let embedding = Embedding::on(&database, &service.embedder_with(options)).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    embedding.work().await.unwrap();
    // The one place of passages is taken for longer than any query waits.
    service.replies.lock().unwrap().push(Reply::Slow(Duration::from_secs(60)));
    plant(&database, &demo, "Travel", "Trains go before planes.").await;
    let before = service.requests();
    let work = bailiwick::embedding::worker::Work::new(embedding.calls.clone(), embedding.embeddings.clone()).unwrap();
    let working = tokio::spawn(async move { work.everything(|_| ()).await });
    let deadline = Instant::now() + Duration::from_secs(30);
    while service.requests() == before {
        assert!(Instant::now() < deadline, "the passage is on its way");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = embedding.session(&demo).await.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(answer["mode"], "hybrid", "{answer}");
    assert!(!working.is_finished());
    working.abort();
}

/// Whoever asked may have gone on by words, or have gone: what the service was paid stands in the ledger, by the server's own call.
#[tokio::test]
async fn a_vector_that_is_paid_for_is_charged_whoever_left() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    database.execute("INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, source) VALUES ('fake', 'fake-model', '2026-01-01', 100, 0, 'test')").await;
    let service = FakeService::start(Vec::new()).await;
    let mut options = service.options();
    options.request_timeout = Duration::from_secs(30);
    let embedding = Embedding::patient(&database, &service.embedder_with(options), USUAL).await;
    let session = embedding.session(&demo).await;
    service.replies.lock().unwrap().push(Reply::Slow(Duration::from_secs(8)));
    let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(answer["mode"], "bm25_only", "{answer}");
    let held = "SELECT reserved_usd > 0 FROM call_intents WHERE resource = 'worker/embed_query'";
    assert!(database.value::<bool>(held).await, "its money is held while the service works");
    let deadline = Instant::now() + Duration::from_secs(30);
    while database.value::<i64>("SELECT count(*) FROM cost_tracking").await == 0 {
        assert!(Instant::now() < deadline, "it is charged");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let row = "SELECT a.resource || ' ' || a.outcome || ' ' || c.user_id || ' ' || c.total_cost::float8 FROM cost_tracking c JOIN audit_logs a USING (tenant_id, call_id)";
    assert_eq!(database.value::<String>(row).await, "worker/embed_query ok user@demo.example 0.001");
    // The next search finds it, and pays nothing.
    let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert!(answer["mode"] != "bm25_only" || answer["results"].as_array().unwrap().is_empty(), "{answer}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
    // One that does not fit is not bought: the search goes on by words, and says why.
    database.execute("UPDATE tenants SET monthly_budget_usd = 0.002 WHERE slug = 'demo'").await;
    let before = service.requests();
    let answer = session.ok("hybrid_search", json!({ "query": "another question" })).await;
    assert!(answer["mode_reason"].as_str().unwrap().contains("budget for this month is 0.002 USD"), "{answer}");
    assert_eq!(service.requests(), before);
}

#[tokio::test]
async fn nothing_is_spent_for_a_tenant_that_may_not_call_or_has_spent_its_budget() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    embedding.work().await.unwrap();
    let before = service.requests();
    let session = embedding.session(&demo).await;
    database.execute("UPDATE tenants SET monthly_budget_usd = 0 WHERE slug = 'demo'").await;
    let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(answer["mode"], "bm25_only");
    assert!(answer["mode_reason"].as_str().unwrap().contains("budget"), "{answer}");
    database.execute("UPDATE tenants SET monthly_budget_usd = 50, status = 'suspended' WHERE slug = 'demo'").await;
    assert!(session.refused("hybrid_search", json!({ "query": "annual leave" })).await.starts_with("forbidden"));
    assert_eq!(service.requests(), before);
}

#[tokio::test]
async fn a_language_that_the_model_does_not_cover_is_searched_by_words() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedder = {
        use bailiwick::documents::language::Language;
        use bailiwick::embedding::http::Http;
        use bailiwick::embedding::{Embedder, Languages, Model};
        let model = service.embedder().model().clone();
        let model = Model { languages: Languages::Only(vec![Language::ENGLISH]), ..model };
        Embedder::http(Http::new(model, service.options()).unwrap())
    };
    let embedding = Embedding::on(&database, &embedder).await;
    plant(&database, &demo, "휴가", "연차는 15일입니다.").await;
    embedding.work().await.unwrap();
    let before = service.requests();
    let session = embedding.session(&demo).await;
    let answer = session.ok("hybrid_search", json!({ "query": "연차" })).await;
    assert_eq!(answer["mode"], "bm25_only");
    assert!(answer["mode_reason"].as_str().unwrap().contains("does not cover"), "{answer}");
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    assert_eq!(service.requests(), before);
    let languages = "SELECT languages = '{en}' AND provider = 'fake' AND prompt_style = 'none' FROM embedding_models WHERE name = 'fake-model'";
    assert!(database.value::<bool>(languages).await);
}
