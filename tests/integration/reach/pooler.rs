//! PgBouncer in transaction mode, for real: everything is as on a connection of one's own, but for what needs a session.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick::call::{CallOptions, Calls, Client, Failure};
use bailiwick::db::{Endpoint, PoolOptions, admin};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::caller::{Tools, caller, is_ok};
use super::{Pgbouncer, Pooling};
use crate::audit::tools::Ending;
use crate::harness::{Session, TestDatabase};

/// The application's way through it, and past it.
async fn through(pgbouncer: &Pgbouncer, database: &TestDatabase) -> Endpoint {
    let direct = database.url("bailiwick_app").await;
    super::app(&pgbouncer.url("bailiwick_app", database.name()), Some(&direct))
}

pub(super) fn options(database: &TestDatabase, size: usize) -> CallOptions {
    CallOptions { pool: PoolOptions { size, ..PoolOptions::default() }, ..database.call_options() }
}

#[tokio::test]
async fn every_tool_answers_as_without_it_and_has_its_one_row() {
    let database = TestDatabase::create().await;
    let Some(pgbouncer) = Pgbouncer::start(Pooling::Transaction(2), "", &[]).await else { return };
    let endpoint = through(&pgbouncer, &database).await;
    let tools = Arc::new(Tools::open(&endpoint, &options(&database, 6)).await);
    let mut running = Vec::new();
    for (slug, word) in [("demo", "quetzal"), ("enterprise", "narwhal")] {
        let tenant = database.tenant(slug).await;
        for n in 0..8 {
            let (tools, caller) = (Arc::clone(&tools), caller(tenant.id, &format!("user-{n}")));
            running.push(tokio::spawn(async move {
                let vector = [1.0, 0.1 * f64::from(n), 0.0, 0.0];
                let stored = tools
                    .ok(&caller, "insert_document", json!({ "title": format!("Leave {n} {word}"), "content": format!("Annual leave of {word}, {n} days."), "source": format!("{n}.md"), "metadata": { "owner": word }, "embedding": vector, "idempotency_key": format!("{word} {n}") }))
                    .await;
                let id = stored["document_id"].clone();
                tools.ok(&caller, "get_document", json!({ "document_id": id })).await;
                tools.ok(&caller, "update_document", json!({ "document_id": id, "title": format!("Days {n} {word}") })).await;
                tools.ok(&caller, "record_usage", json!({ "model_name": "gpt-4o", "provider": "openai", "input_tokens": 9, "output_tokens": 1 })).await;
                let mut told = String::new();
                for (tool, arguments) in [
                    ("hybrid_search", json!({ "query": "annual leave", "query_embedding": vector, "filter": { "metadata": { "owner": word } } })),
                    ("hybrid_search", json!({ "query": "\"annual leave\" anual" })),
                    ("list_documents", json!({ "limit": 50 })),
                    ("cost_report", json!({ "group_by": ["user"] })),
                    ("tenant_status", json!({})),
                    ("search_audit_log", json!({ "limit": 20 })),
                ] {
                    told.push_str(&tools.ok(&caller, tool, arguments).await.to_string());
                }
                let other = if word == "quetzal" { "narwhal" } else { "quetzal" };
                assert!(told.contains(word) && !told.contains(other), "{word}: {told}");
                if n == 7 {
                    tools.ok(&caller, "delete_document", json!({ "document_id": id })).await;
                }
            }));
        }
    }
    for run in running {
        run.await.unwrap();
    }
    tools.calls.drain(Duration::from_secs(10)).await;
    let rows = "SELECT count(*) || ' ' || count(DISTINCT call_id) || ' ' || count(*) FILTER (WHERE outcome = 'ok') FROM audit_logs WHERE resource LIKE 'tools/%'";
    assert_eq!(database.value::<String>(rows).await, "162 162 162", "{}", pgbouncer.log());

    // The same answer on a connection of one's own, to the byte but for the time that it took.
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    let again = Tools::open(&endpoint, &options(&database, 2)).await;
    let caller = caller(tenant.id, "user@demo.example");
    for query in [
        json!({ "query": "annual leave", "explain": true }),
        json!({ "query": "days", "query_embedding": [1.0, 0.3, 0.0, 0.0] }),
    ] {
        let bare = |mut answer: Value| {
            answer.as_object_mut().unwrap().remove("duration_ms");
            answer
        };
        let pooled = bare(again.ok(&caller, "hybrid_search", query.clone()).await);
        assert_eq!(pooled, bare(session.ok("hybrid_search", query).await));
        assert!(!pooled["results"].as_array().unwrap().is_empty());
    }
    nothing_is_left_on_its_connections(&pgbouncer, &database, 2).await;
}

/// Whoever comes next on a connection of the pooler's meets no context, no setting and no prepared statement of anybody's.
async fn nothing_is_left_on_its_connections(pgbouncer: &Pgbouncer, database: &TestDatabase, size: usize) {
    let config: tokio_postgres::Config = pgbouncer.url("bailiwick_app", database.name()).parse().unwrap();
    let mut processes = Vec::new();
    let mut holders = Vec::new();
    for _ in 0..size {
        let client = admin::connect(&config).await.unwrap();
        let sql = "SELECT pg_backend_pid(), concat_ws(',', nullif(current_setting('app.current_tenant_id', true), ''), nullif(current_setting('app.current_user_id', true), ''),
                   nullif(current_setting('app.current_user_role', true), '')), current_setting('statement_timeout'), current_setting('enable_seqscan'), current_setting('plan_cache_mode'),
                   (SELECT count(*) FROM pg_prepared_statements)";
        // The transaction keeps it, so that each client has another.
        let messages = client.simple_query(&format!("BEGIN; {sql}")).await.unwrap();
        let row = messages.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.unwrap();
        let left: Vec<_> = (1..6).map(|at| row.get(at).unwrap_or_default()).collect();
        assert_eq!(left, ["", "0", "on", "auto", "0"], "a setting or a statement stayed");
        processes.push(row.get(0).unwrap().to_owned());
        holders.push(client);
    }
    processes.sort();
    processes.dedup();
    assert_eq!(processes.len(), size, "all its connections were looked at");
}

#[tokio::test]
async fn a_cancelled_call_stops_its_own_statement_and_no_neighbours() {
    let database = TestDatabase::create().await;
    let Some(pgbouncer) = Pgbouncer::start(Pooling::Transaction(3), "", &[]).await else { return };
    let calls = Calls::open(through(&pgbouncer, &database).await, &options(&database, 3)).unwrap();
    let (demo, beside) = (database.tenant("demo").await.id, database.tenant("enterprise").await.id);
    let arguments = |end: &str| {
        let Value::Object(arguments) = json!({ "end": end }) else { unreachable!() };
        arguments
    };
    let (stop, neighbour) = (Arc::new(AtomicBool::new(false)), calls.clone());
    let stopped = Arc::clone(&stop);
    let neighbour = tokio::spawn(async move {
        let (tool, never, caller) = (Arc::new(Ending), CancellationToken::new(), caller(beside, "neighbour"));
        let mut done = 0;
        while !stopped.load(Ordering::Relaxed) {
            neighbour.run(&tool, &caller, Client::default(), arguments("short statement"), &never).await.unwrap();
            done += 1;
        }
        done
    });
    let admin = database.connect_admin().await;
    let asleep = async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()";
        admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    for _ in 0..12 {
        let cancelled = CancellationToken::new();
        let (running, token) = (calls.clone(), cancelled.clone());
        let call = tokio::spawn(async move {
            running
                .run(
                    &Arc::new(Ending),
                    &caller(demo, "canceller"),
                    Client::default(),
                    arguments("slow statement"),
                    &token,
                )
                .await
        });
        let begun = Instant::now();
        while asleep().await == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the statement never ran");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancelled.cancel();
        assert!(matches!(call.await.unwrap(), Err(Failure::Cancelled)));
        let begun = Instant::now();
        while asleep().await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(5), "the statement still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let done: i64 = neighbour.await.unwrap();
    calls.drain(Duration::from_secs(10)).await;
    assert!(done > 0);
    let rows = "SELECT string_agg(told, ', ' ORDER BY told) FROM (SELECT format('%s %s %s', user_id, outcome, count(*)) AS told FROM audit_logs GROUP BY user_id, outcome) AS t";
    assert_eq!(database.value::<String>(rows).await, format!("canceller cancelled 12, neighbour ok {done}"));
    nothing_is_left_on_its_connections(&pgbouncer, &database, 3).await;
}

#[tokio::test]
async fn it_may_be_killed_under_calls_and_come_back() {
    let database = TestDatabase::create().await;
    let Some(mut pgbouncer) = Pgbouncer::start(Pooling::Transaction(3), "", &[]).await else { return };
    let tools = Arc::new(Tools::open(&through(&pgbouncer, &database).await, &options(&database, 4)).await);
    let tenant = database.tenant("demo").await.id;
    let (stop, asked, answered) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let hammers: Vec<_> = (0..6)
        .map(|hammer| {
            let (tools, stop, asked, answered) =
                (Arc::clone(&tools), Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&answered));
            tokio::spawn(async move {
                let caller = caller(tenant, "hammer");
                let mut replies = HashMap::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let source = format!("{hammer}-{n}.md");
                    asked.fetch_add(1, Ordering::Relaxed);
                    let reply = tools
                        .call(
                            &caller,
                            "insert_document",
                            json!({ "title": source, "content": "Annual leave.", "source": source }),
                        )
                        .await;
                    answered.fetch_add(usize::from(is_ok(&reply)), Ordering::Relaxed);
                    replies.insert(source, reply);
                }
                replies
            })
        })
        .collect();
    for _ in 0..3 {
        let (before, begun) = (answered.load(Ordering::Relaxed), Instant::now());
        while answered.load(Ordering::Relaxed) < before + 10 {
            assert!(begun.elapsed() < Duration::from_secs(60), "calls do not come through again: {}", pgbouncer.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pgbouncer.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        pgbouncer.run();
    }
    stop.store(true, Ordering::Relaxed);
    let mut replies = HashMap::new();
    for hammer in hammers {
        replies.extend(hammer.await.unwrap());
    }
    assert!(tools.calls.drain(Duration::from_secs(20)).await, "every row is kept");
    let told = i64::try_from(asked.load(Ordering::Relaxed)).unwrap();
    let rows = "SELECT count(*) FROM audit_logs WHERE user_id = 'hammer'";
    let begun = Instant::now();
    while database.value::<i64>(rows).await < told {
        assert!(begun.elapsed() < Duration::from_secs(30), "rows are missing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let counts = "SELECT format('%s %s', count(*), count(DISTINCT call_id)) FROM audit_logs WHERE user_id = 'hammer'";
    assert_eq!(database.value::<String>(counts).await, format!("{told} {told}"));
    let kept = "SELECT count(*) FROM audit_logs WHERE user_id = 'hammer' AND outcome = 'ok'";
    assert_eq!(database.value::<i64>(kept).await, database.value::<i64>("SELECT count(*) FROM documents").await);
    // What was told is so: an answer is stored, a refusal is not, and who was told that it is not known may find either.
    let stored: Vec<String> = database
        .connect_admin()
        .await
        .query("SELECT source FROM documents", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    for (source, reply) in &replies {
        if !reply.to_string().contains("outcome_unknown") {
            assert_eq!(stored.contains(source), is_ok(reply), "{source}: {reply}");
        }
    }
    assert!(replies.values().any(|reply| !is_ok(reply)), "no call noticed: {} calls", replies.len());
    nothing_is_left_on_its_connections(&pgbouncer, &database, 3).await;
}
