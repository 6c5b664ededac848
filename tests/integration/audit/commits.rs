//! A COMMIT whose answer is lost.

use std::sync::Arc;

use bailiwick::call::{CallOptions, Calls, Client, Failure};
use bailiwick::identity::{Caller, Scopes, UserId};
use bailiwick::tools::{EmbeddingSpace, HybridSearch, InsertDocument};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Fault, Proxy, TestDatabase};

struct Inserter {
    calls: Calls,
    caller: Caller,
    tool: Arc<InsertDocument>,
}

impl Inserter {
    async fn open(database: &TestDatabase, proxy: &Proxy) -> Self {
        let tenant_id = database.tenant("demo").await.id;
        let caller = Caller { tenant_id, user_id: UserId::parse("committer").unwrap(), scopes: Scopes::all() };
        let space = EmbeddingSpace {
            dimensions: 4,
            model_id: 1,
            model_name: "test-model".to_owned(),
            ..EmbeddingSpace::default()
        };
        let calls = Calls::open(proxy.config(database), &database.call_options()).unwrap();
        Self { calls, caller, tool: Arc::new(InsertDocument { space }) }
    }

    async fn insert(&self, title: &str) -> Result<(), Failure> {
        let Value::Object(arguments) = json!({ "title": title, "content": title }) else { unreachable!() };
        let stop = CancellationToken::new();
        self.calls.run(&self.tool, &self.caller, Client::default(), arguments, &stop).await.map(drop)
    }
}

/// Titles that are stored, and outcomes of the trail in the order of completion.
async fn left(database: &TestDatabase) -> (String, String) {
    (
        database.value("SELECT coalesce(string_agg(title, ' ' ORDER BY title), '') FROM documents").await,
        database.value("SELECT coalesce(string_agg(outcome, ' ' ORDER BY id), '') FROM audit_logs").await,
    )
}

#[tokio::test]
async fn what_became_of_it_is_looked_up_and_the_reply_agrees() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start().await;
    let inserter = Inserter::open(&database, &proxy).await;
    inserter.insert("a").await.unwrap();
    // The first COMMIT of an insert is its intent's.
    proxy.arm(Fault::CutAfterCommit, 1);
    inserter.insert("b").await.unwrap();
    assert_eq!(proxy.struck(), 1);
    assert_eq!(left(&database).await, ("a b".to_owned(), "ok ok".to_owned()));
    proxy.arm(Fault::CutBeforeCommit, 1);
    assert!(matches!(inserter.insert("c").await, Err(Failure::Unavailable { .. })));
    assert_eq!(proxy.struck(), 2);
    assert_eq!(left(&database).await, ("a b".to_owned(), "ok ok error".to_owned()));
    proxy.arm(Fault::Swallow, 1);
    inserter.insert("d").await.unwrap();
    assert_eq!(proxy.struck(), 3);
    assert_eq!(left(&database).await, ("a b d".to_owned(), "ok ok error ok".to_owned()));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
}

#[tokio::test]
async fn a_search_whose_last_answers_are_lost_is_answered_all_the_same() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start().await;
    let inserter = Inserter::open(&database, &proxy).await;
    inserter.insert("library 2.10").await.unwrap();
    let tool = Arc::new(HybridSearch { space: inserter.tool.space.clone() });
    let search = async || {
        let Value::Object(arguments) = json!({ "query": "library 2.10" }) else { unreachable!() };
        let stop = CancellationToken::new();
        let answer = inserter.calls.run(&tool, &inserter.caller, Client::default(), arguments, &stop).await.unwrap();
        serde_json::to_value(answer).unwrap()["results"][0]["highlights"].clone()
    };
    assert_eq!(search().await, json!(["**library** **2.10**"]));
    // Behind BEGIN, whose READ COMMITTED is one, too.
    proxy.arm(Fault::CutAfterCommit, 1);
    // What needs no database is still shown.
    assert_eq!(search().await, json!(["library **2.10**"]));
    assert_eq!(proxy.struck(), 1);
    assert_eq!(left(&database).await.1, "ok ok ok");
}

#[tokio::test]
async fn an_intent_whose_answer_is_lost_does_no_harm() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start().await;
    let inserter = Inserter::open(&database, &proxy).await;
    for (title, fault) in [("a", Fault::CutAfterCommit), ("b", Fault::CutBeforeCommit)] {
        proxy.arm(fault, 0);
        // Nothing of the call itself had begun, so it is begun again.
        inserter.insert(title).await.unwrap();
    }
    assert_eq!(proxy.struck(), 2);
    assert_eq!(left(&database).await, ("a b".to_owned(), "ok ok".to_owned()));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
}

/// A trigger that lets the row in and breaks the COMMIT, or a statement that fails after its first row.
const BROKEN_ENDS: [(&str, &str); 2] = [
    (
        "CREATE CONSTRAINT TRIGGER break AFTER INSERT ON audit_logs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.success) EXECUTE FUNCTION break()",
        "DROP TRIGGER break ON audit_logs",
    ),
    (
        "CREATE CONSTRAINT TRIGGER break AFTER INSERT ON documents DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION break()",
        "DROP TRIGGER break ON documents",
    ),
];

#[tokio::test]
async fn a_commit_that_the_server_turns_into_a_rollback_is_no_success() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start().await;
    let inserter = Inserter::open(&database, &proxy).await;
    database
        .execute(
            "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$",
        )
        .await;
    let cases = std::env::var("BAILIWICK_HIDDEN_ROLLBACKS").map_or(10, |cases| cases.parse().unwrap());
    for case in 0..cases {
        let (plant, heal) = BROKEN_ENDS[case % BROKEN_ENDS.len()];
        database.execute(plant).await;
        let failed = inserter.insert(&format!("broken {case}")).await;
        assert!(matches!(failed, Err(Failure::Internal { .. })), "{failed:?}");
        database.execute(heal).await;
        inserter.insert(&format!("kept-{case}")).await.unwrap();
    }
    let cases = i64::try_from(cases).unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents WHERE title LIKE 'kept-%'").await, cases);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, cases);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'ok'").await, cases);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'error'").await, cases);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
}

#[tokio::test]
async fn a_restarted_pool_of_dead_connections_is_not_felt() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start().await;
    let inserter = Inserter::open(&database, &proxy).await;
    for title in ["a", "b", "c"] {
        inserter.insert(title).await.unwrap();
        // Waited for, so that none is in the middle of its end when the next call takes it.
        database.execute("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE usename = 'bailiwick_app' AND datname = current_database()").await;
    }
    inserter.insert("d").await.unwrap();
    assert_eq!(left(&database).await, ("a b c d".to_owned(), "ok ok ok ok".to_owned()));
}

#[test]
fn the_usual_deadlines_nest() {
    let options = CallOptions::new(std::path::PathBuf::new());
    assert!(options.database.lock < options.database.statement && options.database.statement < options.deadline);
    assert!(options.deadline < options.database.idle);
}
