//! Rows that the database cannot take.

use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::db::Deadlines;
use bailiwick::identity::Scopes;
use serde_json::json;

use crate::harness::{Session, Tenant, TestDatabase, error_text, until};

/// Each breaks the trail for every row, and heals it.
const FAULTS: [(&str, &str, &str); 4] = [
    (
        "a trigger raises",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()",
        "DROP TRIGGER refuse ON audit_logs; DROP FUNCTION refuse()",
    ),
    (
        "the grant is revoked",
        "REVOKE INSERT ON audit_logs FROM bailiwick_definer",
        "GRANT INSERT ON audit_logs TO bailiwick_definer",
    ),
    (
        "the month has no partition",
        "DO $$ BEGIN EXECUTE format('ALTER TABLE audit_logs DETACH PARTITION audit_logs_%s', to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')); END $$;
         ALTER TABLE audit_logs DETACH PARTITION audit_logs_default",
        "DO $$ DECLARE v_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC'); BEGIN
             EXECUTE format('ALTER TABLE audit_logs ATTACH PARTITION audit_logs_%s FOR VALUES FROM (%L) TO (%L)', to_char(v_month, 'YYYY_MM'),
                            v_month AT TIME ZONE 'UTC', (v_month + interval '1 month') AT TIME ZONE 'UTC'); END $$;
         ALTER TABLE audit_logs ATTACH PARTITION audit_logs_default DEFAULT",
    ),
    // Held by the test's own session: see below.
    ("the table is locked", "", ""),
];

fn quick(database: &TestDatabase) -> CallOptions {
    let database_limits = Deadlines { lock: Duration::from_millis(300), ..Deadlines::default() };
    CallOptions { database: database_limits, ..database.call_options() }
}

/// Waits until the trail has that many rows.
async fn rows(database: &TestDatabase, wanted: i64) {
    let rows = "SELECT count(*) FROM audit_logs";
    until(&format!("{wanted} rows"), async || database.value::<i64>(rows).await >= wanted).await;
    assert_eq!(database.value::<i64>(rows).await, wanted);
    assert_eq!(database.value::<i64>("SELECT count(DISTINCT call_id) FROM audit_logs").await, wanted);
}

async fn ready_again(session: &Session) {
    let is_ready = || {
        let readiness = session.calls.readiness();
        readiness.can_record && readiness.spooled_bytes == 0
    };
    until("nothing waits for the database", async || is_ready()).await;
}

/// Searches and inserts while the trail is broken: nothing may come of them.
async fn refused_calls(session: &Session, fault: &str, count: usize) {
    let calls: Vec<_> = (0..count).collect();
    for together in calls.chunks(50) {
        let refused = together.iter().map(async |index| {
            let (tool, arguments) = match index % 3 {
                0 => ("insert_document", json!({ "title": "lost", "content": "canary lost" })),
                1 => ("hybrid_search", json!({ "query": "canary" })),
                _ => ("cost_report", json!({})),
            };
            let result = session.call(tool, arguments).await;
            assert_eq!(result.is_error, Some(true), "{fault}: {tool} {result:?}");
            let text = error_text(&result);
            assert!(!text.contains("canary") && !text.contains("planted"), "{fault}: {text}");
        });
        futures_util::future::join_all(refused).await;
    }
}

#[tokio::test]
async fn while_the_trail_is_broken_nothing_is_told_or_kept_and_all_heals_by_itself() {
    let calls: usize = std::env::var("BAILIWICK_FAIL_CLOSED_CALLS").map_or(9, |calls| calls.parse().unwrap());
    for (name, plant, heal) in FAULTS {
        let database = TestDatabase::create().await;
        let session =
            Session::open_with(&database, &database.tenant("demo").await, Scopes::all(), &quick(&database)).await;
        session.ok("insert_document", json!({ "title": "canary", "content": "canary" })).await;
        let blocker = database.connect_admin().await;
        match plant {
            "" => blocker.batch_execute("BEGIN; LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE").await.unwrap(),
            plant => blocker.batch_execute(plant).await.unwrap(),
        }
        refused_calls(&session, name, calls).await;
        let readiness = session.calls.readiness();
        assert!(readiness.can_record && readiness.spooled_bytes > 0, "{name}: {readiness:?}");
        blocker.batch_execute(if heal.is_empty() { "ROLLBACK" } else { heal }).await.unwrap();
        ready_again(&session).await;
        rows(&database, i64::try_from(calls).unwrap() + 1).await;
        // On a busy machine a call may be refused for its time, too, or before it begins.
        let others =
            "SELECT coalesce(string_agg(concat_ws(' ', resource, outcome, error_message), '; '), '') FROM audit_logs
                      WHERE outcome NOT IN ('error', 'timeout', 'denied') AND NOT (success AND resource = 'tools/insert_document')";
        assert_eq!(database.value::<String>(others).await, "", "{name}");
        assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1, "{name}");
        assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0, "{name}");
        session.ok("hybrid_search", json!({ "query": "canary" })).await;
    }
}

#[tokio::test]
async fn where_no_row_can_be_kept_no_call_is_let_in() {
    let (_, plant, heal) = FAULTS[0];
    let database = TestDatabase::create().await;
    let options = CallOptions { spool_bytes: 0, ..quick(&database) };
    let session = Session::open_with(&database, &database.tenant("demo").await, Scopes::all(), &options).await;
    session.ok("insert_document", json!({ "title": "canary", "content": "canary" })).await;
    database.execute(plant).await;
    session.refused("hybrid_search", json!({ "query": "canary" })).await;
    assert!(!session.calls.readiness().can_record);
    for _ in 0..10 {
        let text = session.refused("hybrid_search", json!({ "query": "canary" })).await;
        assert!(text.starts_with("unavailable: the audit trail cannot be written."), "{text}");
    }
    database.execute(heal).await;
    ready_again(&session).await;
    session.ok("hybrid_search", json!({ "query": "canary" })).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE success").await, 2);
    // Those that were not let in have none.
    rows(&database, 3).await;
}

#[tokio::test]
async fn rows_that_a_dead_server_left_on_disk_are_sent_by_the_next() {
    let (fault, plant, heal) = FAULTS[0];
    let database = TestDatabase::create().await;
    let tenant: Tenant = database.tenant("demo").await;
    let session = Session::open_with(&database, &tenant, Scopes::all(), &quick(&database)).await;
    database.execute(plant).await;
    refused_calls(&session, fault, 3).await;
    // Its locks go with it; as with a process that was killed.
    drop(session);
    let segments = || std::fs::read_dir(quick(&database).spool).unwrap().count();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(segments() >= 1);
    // A line that was cut short when the power went.
    let torn = quick(&database).spool.join("0-torn.jsonl");
    std::fs::write(&torn, "{\"tenant_id\":\"").unwrap();
    database.execute(heal).await;
    let next = Session::open_with(&database, &tenant, Scopes::all(), &quick(&database)).await;
    rows(&database, 3).await;
    ready_again(&next).await;
    until("no segment stays behind", async || segments() == 0).await;
}
