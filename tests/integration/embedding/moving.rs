//! From one model to another, of other dimensions, while searches and inserts go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick::embedding::moving::{self, Step};
use serde_json::json;

use super::setup::{Embedding, FakeService, Reply, plant};
use crate::harness::{Tenant, TestDatabase, until};

/// So many documents that their vectors have an index.
async fn plant_many(database: &TestDatabase, tenant: &Tenant, count: usize) {
    let id = tenant.id.as_uuid();
    database
        .execute(&format!(
            "BEGIN; SET LOCAL app.current_tenant_id = '{id}';
             INSERT INTO documents (tenant_id, title, content)
             SELECT '{id}', 'Note ' || n, 'Note number ' || n || ' of many.' FROM generate_series(1, {count}) AS n; COMMIT"
        ))
        .await;
}

fn note(n: usize) -> serde_json::Value {
    json!({ "query": format!("note number {n} of many"), "limit": 50 })
}

/// The note is among the nearest by its vector: of 2,100 an index may miss one, and the service's vectors are not that good.
fn assert_nearest(answer: &serde_json::Value, n: usize) {
    let results = answer["results"].as_array().unwrap();
    let found = results.iter().find(|row| row["title"] == format!("Note {n}"));
    let rank = found.and_then(|row| row["vector_rank"].as_u64());
    assert!(rank.is_some_and(|rank| rank <= 5), "note {n}: {rank:?} of {}", results.len());
}

#[tokio::test]
async fn searches_are_right_at_every_moment_of_a_move() {
    let database = TestDatabase::of_dimensions(32).await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let old = FakeService::of_dimensions(32, Vec::new()).await;
    let mut options = old.options();
    options.batch_size = 64;
    let before = Embedding::on(&database, &old.embedder_with(options)).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    plant_many(&database, &enterprise, 2_100).await;
    before.work().await.unwrap();

    let new = FakeService::of_dimensions(48, Vec::new()).await;
    let mut options = new.options();
    options.batch_size = 256;
    let next = new.embedder_with(options);
    let model_id = before.calls.system().register_embedder(next.model()).await.unwrap();
    let embeddings = bailiwick::embedding::Embeddings::on(next.clone(), model_id, true);

    // Searches by a server of the old model, all the time.
    let (session, of_many, switching, over) = (
        before.session(&demo).await,
        before.session(&enterprise).await,
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let searching = tokio::spawn({
        let (switching, over) = (Arc::clone(&switching), Arc::clone(&over));
        async move {
            let mut modes = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let may_have_switched = switching.load(Ordering::SeqCst);
                let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
                assert_eq!(answer["results"][0]["title"], "Leave", "{answer}");
                let mode = answer["mode"].as_str().unwrap().to_owned();
                assert!(mode == "hybrid" || may_have_switched || switching.load(Ordering::SeqCst), "{answer}");
                modes.push(mode);
                // Of 2,100 vectors the right one is nearest, and it alone: no other model's stands among them.
                let n = 1 + modes.len() * 37 % 2_100;
                let may_have_switched = switching.load(Ordering::SeqCst);
                let answer = of_many.ok("hybrid_search", note(n)).await;
                let is_hybrid = answer["mode"] == "hybrid";
                assert!(is_hybrid || may_have_switched || switching.load(Ordering::SeqCst), "{answer}");
                if is_hybrid {
                    assert_nearest(&answer, n);
                }
            }
            modes
        }
    });
    let (client, observer) = (database.connect_admin().await, database.connect_admin().await);
    let moved = moving::run(&client, &observer, &before.calls, &embeddings, |step| {
        if matches!(step, Step::Switching) {
            switching.store(true, Ordering::SeqCst);
        }
    })
    .await
    .unwrap();
    assert_eq!(moved.passages, 2_101);
    let session = before.session(&demo).await;
    let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(answer["mode"], "bm25_only", "vectors of two models are never compared: {answer}");
    // Also where an index of other dimensions is in the way.
    let answer = before.session(&enterprise).await.ok("hybrid_search", json!({ "query": "note number 17" })).await;
    assert_eq!(answer["mode"], "bm25_only", "{answer}");
    over.store(true, Ordering::SeqCst);
    let modes = searching.await.unwrap();
    assert!(modes.iter().any(|mode| mode == "hybrid"));

    // The old server's worker leaves the new vectors alone.
    assert!(before.work().await.is_err());
    let after = Embedding::on(&database, &next).await;
    plant(&database, &demo, "Later", "What came later is embedded with the new model.").await;
    after.work().await.unwrap();
    for (query, title) in [("annual leave thirty days", "Leave"), ("came later embedded", "Later")] {
        let answer = after.session(&demo).await.ok("hybrid_search", json!({ "query": query })).await;
        assert_eq!((&answer["mode"], &answer["results"][0]["title"]), (&json!("hybrid"), &json!(title)), "{answer}");
        assert_eq!(answer["results"][0]["vector_rank"], 1, "{answer}");
    }
    let session = after.session(&enterprise).await;
    for n in [1, 17, 512, 1_999, 2_100] {
        let answer = session.ok("hybrid_search", note(n)).await;
        assert_eq!(answer["mode"], "hybrid", "{answer}");
        assert_nearest(&answer, n);
    }
    let facts = [
        (
            "the old vectors are gone",
            "SELECT NOT EXISTS (SELECT FROM document_chunks WHERE next_embedding IS NOT NULL)",
        ),
        (
            "every document has its vector",
            "SELECT NOT EXISTS (SELECT FROM documents WHERE embedding IS NULL OR embedding_model <> 'fake-model-48')",
        ),
        (
            "and every passage",
            "SELECT NOT EXISTS (SELECT FROM document_chunks c JOIN embedding_models m ON m.id = c.embedding_model_id WHERE m.name <> 'fake-model-48' OR c.embedding IS NULL)",
        ),
        ("of the new dimensions", "SELECT bool_and(vector_dims(embedding) = 48) FROM documents"),
        (
            "the large tenant's vectors have their index, and it is whole",
            "SELECT count(*) = 1 AND bool_and(i.indisvalid) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname LIKE 'hnsw%'",
        ),
        (
            "each batch has its row",
            "SELECT count(*) = (SELECT count(*) FROM cost_tracking) FROM audit_logs a JOIN cost_tracking c USING (tenant_id, call_id) WHERE a.action = 'embed' AND a.outcome = 'ok'",
        ),
    ];
    for (what, sql) in facts {
        assert!(database.value::<bool>(sql).await, "{what}");
    }
}

#[tokio::test]
async fn a_move_that_was_broken_off_goes_on_where_it_stopped() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    let before = Embedding::on(&database, &old.embedder()).await;
    plant_many(&database, &demo, 20).await;
    before.work().await.unwrap();
    // Two batches, and then the service is not there any more.
    let refusal = Reply::Status(401, &[]);
    let new = FakeService::of_dimensions(6, vec![Reply::Good, Reply::Good, refusal]).await;
    let next = new.embedder();
    let model_id = before.calls.system().register_embedder(next.model()).await.unwrap();
    let embeddings = bailiwick::embedding::Embeddings::on(next, model_id, true);
    let client = database.connect_admin().await;
    let observer = database.connect_admin().await;
    assert!(moving::run(&client, &observer, &before.calls, &embeddings, |_| ()).await.is_err());
    let answer = before.session(&demo).await.ok("hybrid_search", json!({ "query": "note number 7" })).await;
    assert_eq!(answer["mode"], "hybrid", "what is searched has not changed: {answer}");
    // The lock goes with its connection.
    let held: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    drop(client);
    let gone = format!("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {held})");
    until("the connection has gone", async || database.value::<bool>(&gone).await).await;
    let client = database.connect_admin().await;
    let moved = moving::run(&client, &observer, &before.calls, &embeddings, |_| ()).await.unwrap();
    assert_eq!(moved.passages, 4, "16 of 20 were there");
    let mut texts = new.texts();
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), new.texts().len()), (20, 20), "no passage twice");
}

/// A service that asks for more patience than a batch has is waited for.
#[tokio::test]
async fn a_move_waits_for_a_service_that_asks_for_patience() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    let before = Embedding::on(&database, &old.embedder()).await;
    plant_many(&database, &demo, 20).await;
    before.work().await.unwrap();
    let patience = Reply::Status(429, &[("retry-after", "3")]);
    let new = FakeService::of_dimensions(6, vec![Reply::Good, patience.clone(), patience]).await;
    let next = new.embedder();
    let model_id = before.calls.system().register_embedder(next.model()).await.unwrap();
    let embeddings = bailiwick::embedding::Embeddings::on(next, model_id, true);
    let (client, observer) = (database.connect_admin().await, database.connect_admin().await);
    let waits = std::cell::Cell::new(0);
    let moved = moving::run(&client, &observer, &before.calls, &embeddings, |step| {
        waits.set(waits.get() + usize::from(matches!(step, Step::Waiting)));
    });
    assert_eq!((moved.await.unwrap().passages, waits.get()), (20, 2));
}
