//! Calls that change something, and what becomes of those whose server dies.

use std::sync::Arc;

use bailiwick::call::{Calls, Client, Failure};
use bailiwick::db::{Lease, Pool, PoolOptions, System};
use bailiwick::identity::{Caller, Scopes, UserId};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::tools::Changing;
use crate::harness::{Process, TestDatabase, under_way, until};

async fn outcomes(database: &TestDatabase) -> String {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', action, outcome, error_message), ',' ORDER BY id), '') FROM audit_logs";
    database.value(sql).await
}

async fn open_intents(database: &TestDatabase) -> i64 {
    database.value("SELECT count(*) FROM call_intents").await
}

/// What a dead server left: an intent of that age under that lease.
async fn leave_intent(database: &TestDatabase, lease: i64, age: &str) {
    database
        .execute(&format!(
            "INSERT INTO call_intents (tenant_id, call_id, user_id, action, resource, started_at, opened_at, lease, user_agent)
             SELECT id, gen_random_uuid(), 'left', 'insert', 'tools/insert_document', now() - interval '{age}', now() - interval '{age}', {lease}, 'gone/1'
             FROM tenants WHERE slug = 'demo'"
        ))
        .await;
}

#[tokio::test]
async fn calls_of_dead_servers_are_closed_as_interrupted_and_those_of_living_ones_are_not() {
    let database = TestDatabase::create().await;
    let system = System::new(Pool::new(database.app().clone(), &PoolOptions::default()).unwrap());
    let lease = Lease::new(database.app());
    leave_intent(&database, lease.key().await.unwrap(), "1 second").await;
    assert_eq!(system.reap_calls().await.unwrap(), 0, "its server lives");
    leave_intent(&database, 4711, "1 second").await;
    assert_eq!(system.reap_calls().await.unwrap(), 1);
    assert_eq!(outcomes(&database).await, "insert interrupted interrupted");
    let whole = "SELECT count(*) FROM audit_logs WHERE user_id = 'left' AND user_agent = 'gone/1' AND duration_ms BETWEEN 900 AND 60000 AND resource = 'tools/insert_document'";
    assert_eq!(database.value::<i64>(whole).await, 1);
    // Its row may wait on its server's disk; but no call lives for ever, whatever its server says.
    leave_intent(&database, lease.key().await.unwrap(), "50 seconds").await;
    assert_eq!(system.reap_calls().await.unwrap(), 0);
    leave_intent(&database, lease.key().await.unwrap(), "11 minutes").await;
    assert_eq!(system.reap_calls().await.unwrap(), 1);
    // An intent that landed after its call was closed goes without another row.
    let close = "INSERT INTO audit_logs (tenant_id, user_id, call_id, action, outcome, success, \"timestamp\")
                 SELECT tenant_id, user_id, call_id, action, 'cancelled', false, started_at FROM call_intents WHERE opened_at < now() - interval '40 seconds'";
    database.execute(close).await;
    assert_eq!((system.reap_calls().await.unwrap(), open_intents(&database).await), (0, 1));
    lease.renew();
    // The session whose connection was closed lets go a moment later.
    until("the first call's server has given its lease up", async || system.reap_calls().await.unwrap() == 1).await;
    assert_eq!(open_intents(&database).await, 0);
}

#[tokio::test]
async fn a_change_is_announced_before_it_begins_and_no_more_once_it_ended() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let calls = Calls::open(database.app(), &database.call_options()).unwrap();
    let caller = Caller { tenant_id: tenant.id, user_id: UserId::parse("changer").unwrap(), scopes: Scopes::all() };
    let (tool, stop) = (Arc::new(Changing(Semaphore::new(0))), CancellationToken::new());
    let change = || calls.run(&tool, &caller, Client::default(), Map::new(), &stop);
    let look = async {
        until("the change is announced while it goes on", async || open_intents(&database).await == 1).await;
        tool.0.add_permits(1);
    };
    let (changed, ()) = tokio::join!(change(), look);
    changed.unwrap();
    assert_eq!(open_intents(&database).await, 0);

    // Somebody takes our lease for lost while the call runs: it is fenced, and keeps nothing.
    let fence = async {
        until("the call is under way", async || under_way(&database).await == 1).await;
        let reaped = database.value::<i32>("SELECT reap_calls(interval '0', interval '0')").await;
        tool.0.add_permits(1);
        reaped
    };
    let (fenced, reaped) = tokio::join!(change(), fence);
    assert!(matches!(fenced, Err(Failure::Unavailable { .. })), "{fenced:?}");
    assert_eq!(reaped, 1);
    tool.0.add_permits(1);
    change().await.unwrap();
    assert_eq!(outcomes(&database).await, "insert ok,insert interrupted interrupted,insert ok");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 2);
    assert_eq!(open_intents(&database).await, 0);
}

#[tokio::test]
async fn a_server_that_is_killed_in_the_middle_leaves_an_interrupted_call() {
    let database = TestDatabase::create().await;
    let mut process = Process::serve(&database, "demo").await;
    process.initialize().await;
    let blocker = database.connect_admin().await;
    blocker.batch_execute("BEGIN; LOCK TABLE documents IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let params = json!({ "name": "insert_document", "arguments": { "title": "t", "content": "c" } });
    process.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await;
    until("the change is announced", async || open_intents(&database).await == 1).await;
    process.child.kill().await.unwrap();
    blocker.batch_execute("ROLLBACK").await.unwrap();
    // The next server closes it by itself.
    let mut next = Process::serve(&database, "demo").await;
    next.initialize().await;
    until("the call is closed", async || open_intents(&database).await == 0).await;
    assert_eq!(outcomes(&database).await, "insert interrupted interrupted");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
    let (code, _, stderr): (_, Vec<Value>, _) = next.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
}
