use std::cell::Cell;

use bailiwick::call::{AdmissionOptions, CallOptions};
use serde_json::json;

use crate::harness::{Gate, Session, TestDatabase, until};

/// Makes every insert into audit_logs fail.
const BROKEN_TRAIL: &str =
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()";

#[tokio::test]
async fn without_its_row_a_call_keeps_nothing_and_tells_nothing() {
    for (plant, heal) in [
        (BROKEN_TRAIL, "DROP TRIGGER refuse ON audit_logs"),
        ("REVOKE INSERT ON audit_logs FROM bailiwick_definer", "GRANT INSERT ON audit_logs TO bailiwick_definer"),
    ] {
        let database = TestDatabase::create().await;
        let tenant = database.tenant("demo").await;
        let session = Session::open(&database, &tenant).await;
        session.ok("insert_document", json!({ "title": "canary", "content": "canary" })).await;
        database.execute(plant).await;
        for (tool, arguments) in [
            ("insert_document", json!({ "title": "lost", "content": "lost" })),
            ("hybrid_search", json!({ "query": "canary" })),
            ("cost_report", json!({})),
            ("search_audit_log", json!({})),
            (
                "record_usage",
                json!({ "model_name": "gpt-4o", "provider": "openai", "input_tokens": 1, "output_tokens": 1 }),
            ),
        ] {
            let text = session.refused(tool, arguments).await;
            assert!(text.starts_with("internal: ") && !text.contains("planted") && !text.contains("canary"), "{text}");
        }
        assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
        assert_eq!(database.value::<i64>("SELECT count(*) FROM document_chunks").await, 1);
        assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, 0);
        database.execute(heal).await;
        session.ok("hybrid_search", json!({ "query": "canary" })).await;
        assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 2);
    }
}

#[tokio::test]
async fn a_locked_trail_is_unavailable_and_keeps_nothing() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    let blocker = database.connect_admin().await;
    blocker.batch_execute("BEGIN; LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let text = session.refused("insert_document", json!({ "title": "t", "content": "c" })).await;
    assert!(text.starts_with("unavailable: "), "{text}");
    blocker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
    session.ok("insert_document", json!({ "title": "t", "content": "c" })).await;
}

#[tokio::test]
async fn a_full_server_refuses_at_once() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let admission = AdmissionOptions { running: 1, running_of_tenant: 1, waiting: 0, waiting_of_tenant: 0 };
    let options = CallOptions { admission: Some(admission), ..database.call_options() };
    let session = Session::open_with(&database, &tenant, bailiwick::identity::Scopes::all(), &options).await;
    let gate = Gate::shut(&database).await;
    let slow_ended = Cell::new(false);
    let slow = async {
        session.ok("insert_document", json!({ "title": "t", "content": "c" })).await;
        slow_ended.set(true);
    };
    let fast = async {
        let announced = "SELECT count(*) FROM call_intents";
        until("the first call runs", async || database.value::<i64>(announced).await == 1).await;
        let text = session.refused("cost_report", json!({})).await;
        assert!(!slow_ended.get(), "it waited for the other call");
        gate.open().await;
        text
    };
    let ((), fast) = tokio::join!(slow, fast);
    assert!(fast.starts_with("overloaded: "), "{fast}");
    session.ok("cost_report", json!({})).await;
}

#[tokio::test]
async fn calls_work_again_once_the_servers_backends_were_terminated() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    session.ok("insert_document", json!({ "title": "t", "content": "word" })).await;
    // Waited for until they are gone; the server's own end of them has a moment to learn of it.
    database.execute("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE usename = 'bailiwick_app' AND datname = current_database()").await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(session.titles(json!({ "query": "word" })).await, ["t"]);
}

#[tokio::test]
async fn a_fault_in_the_work_rolls_it_back_and_leaves_the_failures_row() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    database
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON documents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    // It fails only at COMMIT, after the audit row was written.
    let text = session.refused("insert_document", json!({ "title": "t", "content": "c" })).await;
    assert!(text.starts_with("internal: ") && !text.contains("planted"), "{text}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
    assert_eq!(database.value::<String>("SELECT string_agg(outcome, ' ') FROM audit_logs").await, "error");
    assert_eq!(
        database
            .value::<i64>(
                "SELECT document_count FROM tenant_usage u JOIN tenants t ON t.id = u.tenant_id WHERE slug = 'demo'"
            )
            .await,
        0
    );
}
