//! What is read on the replica is what the primary would have told, for the same caller and with the same trace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::db::{PoolOptions, ReplicaOptions};
use serde_json::{Value, json};

use super::pair::{Pair, bare, read_from};
use crate::harness::{Session, TestDatabase};

/// So long that no busy machine matters.
const EVER: Duration = Duration::from_secs(3_600);

/// What only one tenant has, in places where a search would show it.
const TENANTS: [(&str, &str); 2] = [("demo", "quetzal"), ("enterprise", "narwhal")];

/// Documents of both tenants, alike but for the tenant's own word.
pub async fn stock(database: &TestDatabase) {
    for (slug, word) in TENANTS {
        let tenant = database.tenant(slug).await;
        let session = Session::open(database, &tenant).await;
        for n in 0..12 {
            let vector: [f32; 4] = [1.0, 0.1 * n as f32, 0.5, 0.0];
            session
                .ok(
                    "insert_document",
                    json!({
                        "title": format!("Policy {n} of {word}"),
                        "content": format!("Annual leave is {} days for staff of {word}. Travel expenses need a receipt. 연차 휴가 {n}일.", 20 + n),
                        "source": format!("{word}-{n}.md"),
                        "metadata": { "owner": word, "n": n },
                        "embedding": vector,
                    }),
                )
                .await;
        }
    }
}

fn queries() -> Vec<Value> {
    let vector = [0.9, 0.4, 0.5, 0.1];
    vec![
        json!({ "query": "annual leave of staff" }),
        json!({ "query": "annual leave", "query_embedding": vector, "limit": 5 }),
        json!({ "query": "leave", "query_embedding": vector, "bm25_weight": 0.0 }),
        json!({ "query": "\"annual leave\" -receipt" }),
        json!({ "query": "\"travel expenses\" receipt", "explain": true }),
        json!({ "query": "anual recept", "query_embedding": vector }),
        json!({ "query": "휴가" }),
        json!({ "query": "policy", "filter": { "metadata": { "n": 3 } } }),
        json!({ "query": "policy", "query_embedding": vector, "filter": { "created_after": "2020-01-01T00:00:00Z", "language": "en" } }),
        json!({ "query": "nothing holds xylograph" }),
        json!({ "query": "the" }),
    ]
}

/// Asks until it is answered by the replica; the answer, and how often it was asked.
pub async fn on_replica(session: &Session, query: &Value) -> (Value, i64) {
    for asked in 1..=240 {
        let answer = session.ok("hybrid_search", query.clone()).await;
        if read_from(&answer) == "replica" {
            return (answer, asked);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("the replica was not asked in a minute");
}

#[tokio::test]
async fn answers_are_equal_of_the_callers_tenant_alone_and_each_has_its_row_on_the_primary() {
    let pair = Pair::start(stock).await;
    let database = &pair.database;
    pair.replayed().await;
    let options = pair.options(EVER);
    let mut asked = 0;
    for (slug, word) in TENANTS {
        let tenant = database.tenant(slug).await;
        let primary = Session::open(database, &tenant).await;
        let replica = pair.session(slug, &options).await;
        for query in queries() {
            let expected = primary.ok("hybrid_search", query.clone()).await;
            assert_eq!(expected.get("read_from"), None, "without a replica there is nothing to tell: {expected}");
            let (found, times) = on_replica(&replica, &query).await;
            asked += times + 1;
            assert_eq!(bare(&found), bare(&expected), "{slug}: {query}");
            assert!(found["stale_ms_at_most"].as_u64().is_some_and(|stale| stale <= 3_600_001), "{found}");
            for (_, other) in TENANTS.iter().filter(|(_, other)| *other != word) {
                assert!(!found.to_string().contains(other), "{slug} sees {other}: {found}");
            }
        }
        let (found, times) = on_replica(&replica, &json!({ "query": "annual leave" })).await;
        asked += times;
        assert_eq!(found["results"].as_array().unwrap().len(), 10, "there is something to be found: {found}");
        drop(replica);
    }
    let rows = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/hybrid_search' AND outcome = 'ok'";
    assert_eq!(database.value::<i64>(rows).await, asked, "one row each");
    let distinct = rows.replace("count(*)", "count(DISTINCT call_id)");
    assert_eq!(database.value::<i64>(&distinct).await, asked);
    let told = format!("{rows} AND details->>'read_from' = 'replica' AND (details->>'stale_ms_at_most')::int >= 0");
    assert_eq!(database.value::<i64>(&told).await, 2 * (i64::try_from(queries().len()).unwrap() + 1));

    who_has_no_context_sees_nothing_there(&pair).await;
    searches_of_two_tenants_at_once_do_not_mix(&pair, &options).await;
    what_is_no_replica_of_this_database_is_not_asked(&pair).await;
}

async fn who_has_no_context_sees_nothing_there(pair: &Pair) {
    let app = bailiwick::db::admin::connect(&pair.replica("bailiwick_app")).await.unwrap();
    for table in ["documents", "document_chunks", "fresh_postings", "tenant_usage", "tenants", "audit_logs"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(app.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 0, "{table}");
    }
    let demo = pair.database.tenant("demo").await.id;
    app.batch_execute(&format!("BEGIN; SELECT set_config('app.current_tenant_id', '{demo}', true)")).await.unwrap();
    let foreign = app.query_one("SELECT count(*), count(DISTINCT tenant_id) FROM documents", &[]).await.unwrap();
    assert_eq!((foreign.get::<_, i64>(0), foreign.get::<_, i64>(1)), (12, 1));
    app.batch_execute("UPDATE documents SET title = 'x'").await.unwrap_err();
}

/// Two connections and sixteen callers of both tenants.
async fn searches_of_two_tenants_at_once_do_not_mix(pair: &Pair, options: &CallOptions) {
    let options = CallOptions { pool: PoolOptions { size: 2, ..options.pool.clone() }, ..options.clone() };
    let calls = bailiwick::call::Calls::open(pair.database.app(), &options).unwrap();
    let mut sessions = BTreeMap::new();
    for (slug, _) in TENANTS {
        let tenant = pair.database.tenant(slug).await;
        let session = Session::over(calls.clone(), &tenant, bailiwick::identity::Scopes::all()).await;
        on_replica(&session, &json!({ "query": "leave" })).await;
        sessions.insert(slug, Arc::new(session));
    }
    let hammers = (0..16).map(|n| {
        let (slug, word) = TENANTS[n % 2];
        let other = TENANTS[(n + 1) % 2].1;
        let session = Arc::clone(&sessions[slug]);
        tokio::spawn(async move {
            let mut there = 0;
            for at in 0..20 {
                let answer = session.ok("hybrid_search", queries()[at % 3].clone()).await;
                let text = answer.to_string();
                assert!(text.contains(word) && !text.contains(other), "{slug}: {text}");
                there += usize::from(read_from(&answer) == "replica");
            }
            there
        })
    });
    let there: usize = futures_util::future::join_all(hammers).await.into_iter().map(Result::unwrap).sum();
    // Whoever finds no connection free there in time is served by the primary.
    assert!(there > 40, "{there} of 320 were read on the replica");
}

async fn what_is_no_replica_of_this_database_is_not_asked(pair: &Pair) {
    let other = TestDatabase::create().await;
    let mut another = pair.replica("bailiwick_app");
    another.dbname("postgres");
    for (what, config) in [
        ("a server that follows none", other.app().clone()),
        ("the primary itself", pair.database.app().clone()),
        ("another database of the standby", another),
        ("as a superuser", pair.replica("postgres")),
        ("as whom row-level security does not bind", pair.replica("bailiwick_backup")),
    ] {
        let options = CallOptions {
            replica: Some(ReplicaOptions { endpoint: config.into(), max_lag: EVER }),
            ..pair.options(EVER)
        };
        let session = pair.session("demo", &options).await;
        let begun = std::time::Instant::now();
        // Several looks are taken in that time.
        while begun.elapsed() < Duration::from_millis(2_500) {
            let answer = session.ok("hybrid_search", json!({ "query": "annual leave" })).await;
            assert_eq!(read_from(&answer), "primary", "{what}");
            assert_eq!(answer["results"].as_array().unwrap().len(), 10, "{what}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}
