use std::task::Poll;

use bailiwick::db::{DbError, Deadlines, Door, Parameter, Pool, PoolOptions};
use bailiwick::identity::{Caller, Scopes, UserId};

use crate::harness::TestDatabase;

const STATE: &str = "SELECT coalesce(current_setting('app.current_tenant_id', true), '') || coalesce(current_setting('app.current_user_id', true), '') AS context,
    (SELECT count(*) FROM documents) AS documents, txid_current_if_assigned() IS NOT NULL AS writing";
const COUNT: &str = "SELECT count(*) AS documents FROM documents";
const WRITE: &str =
    "INSERT INTO documents (tenant_id, title, content) VALUES (current_tenant_id(), 'dropped', 'dropped') RETURNING id";
const SLEEP: &str = "SELECT pg_sleep(0.002)";

async fn door(database: &TestDatabase) -> Door {
    let options = PoolOptions { size: 1, ..PoolOptions::default() };
    Door::new(Pool::new(database.app().clone(), &options).unwrap(), Deadlines::default())
}

async fn caller(database: &TestDatabase, slug: &'static str) -> Caller {
    let tenant = database.tenant(slug).await;
    Caller { tenant_id: tenant.id, user_id: UserId::parse(slug).unwrap(), scopes: Scopes::all() }
}

/// A call's work: two statements at once, a write, a wait, and the end.
async fn work(door: &Door, caller: &Caller) -> Result<(), DbError> {
    let transaction = door.open(caller).await?;
    tokio::try_join!(transaction.query(COUNT, &[]), transaction.query(STATE, &[]))?;
    transaction.query(WRITE, &[]).await?;
    transaction.query(SLEEP, &[]).await?;
    transaction.finish(COUNT, &[]).await?;
    Ok(())
}

#[tokio::test]
async fn wherever_a_call_is_dropped_the_next_finds_a_clean_connection() {
    let database = TestDatabase::create().await;
    let door = door(&database).await;
    let (dropped, next) = (caller(&database, "demo").await, caller(&database, "enterprise").await);
    let mut finished = 0;
    for polls in 1..120 {
        {
            let mut call = std::pin::pin!(work(&door, &dropped));
            for _ in 0..polls {
                if let Poll::Ready(result) = futures_util::poll!(&mut call) {
                    result.unwrap();
                    finished += 1;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let transaction = door.open(&next).await.unwrap();
        let row = transaction.finish(STATE, &[]).await.unwrap();
        let (context, documents, writing): (String, i64, bool) =
            (row.get("context"), row.get("documents"), row.get("writing"));
        assert_eq!(context, format!("{}enterprise", next.tenant_id), "after {polls} polls");
        assert_eq!((documents, writing), (0, false), "after {polls} polls");
    }
    // Only whole calls left a document. A COMMIT that was sent before the drop may have counted too.
    let kept = database.value::<i64>("SELECT count(*) FROM documents").await;
    assert!(kept >= finished, "{kept} documents of {finished} finished calls");
}

#[tokio::test]
async fn a_session_between_calls_has_no_context() {
    let database = TestDatabase::create().await;
    let pool = Pool::new(database.app().clone(), &PoolOptions { size: 1, ..PoolOptions::default() }).unwrap();
    let door = Door::new(pool, Deadlines::default());
    let demo = caller(&database, "demo").await;
    door.open(&demo).await.unwrap().finish(WRITE, &[]).await.unwrap();
    // The same session, past the door: what a forgotten context would show.
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bailiwick_app' AND datname = current_database() AND state <> 'idle'";
    assert_eq!(database.value::<i64>(sql).await, 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
}

#[tokio::test]
async fn a_transaction_whose_statement_failed_cannot_be_finished() {
    let database = TestDatabase::create().await;
    let (door, demo) = (door(&database).await, caller(&database, "demo").await);
    let transaction = door.open(&demo).await.unwrap();
    transaction.query(WRITE, &[]).await.unwrap();
    transaction.query("SELECT 1 / 0", &[]).await.unwrap_err();
    assert!(matches!(transaction.finish(COUNT, &[]).await, Err(DbError::TransactionFailed)));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
    door.open(&demo).await.unwrap().finish(COUNT, &[]).await.unwrap();
}

#[tokio::test]
async fn a_last_statement_that_fails_keeps_nothing() {
    let database = TestDatabase::create().await;
    let (door, demo) = (door(&database).await, caller(&database, "demo").await);
    // tokio-postgres would call the COMMIT behind each of these a success.
    let wrong_type: [Parameter<'_>; 1] = [&"no number"];
    let lasts: [(&'static str, &[Parameter<'_>]); 3] = [
        ("SELECT 1 / 0", &[]),
        ("SELECT 1 / (2 - x) FROM generate_series(1, 2) AS x", &[]),
        ("SELECT $1::integer", &wrong_type),
    ];
    for (last, parameters) in lasts {
        let transaction = door.open(&demo).await.unwrap();
        transaction.query(WRITE, &[]).await.unwrap();
        transaction.finish(last, parameters).await.unwrap_err();
        assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0, "{last}");
    }
    let transaction = door.open(&demo).await.unwrap();
    transaction.query(WRITE, &[]).await.unwrap();
    transaction.abandon().await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
    door.open(&demo).await.unwrap().finish(WRITE, &[]).await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
}

#[tokio::test]
async fn a_transaction_that_could_not_begin_says_why_to_everybody_who_asks() {
    let database = TestDatabase::create().await;
    let door = door(&database).await;
    let demo = caller(&database, "demo").await;
    door.open(&demo).await.unwrap().finish(COUNT, &[]).await.unwrap();
    let admin = database.connect_admin().await;
    admin.batch_execute("BEGIN; LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let transaction = door.open(&demo).await.unwrap();
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bailiwick_app' AND datname = current_database()";
    admin.batch_execute(terminate).await.unwrap();
    // A tool asks first, by its statement; the wrapper asks after it, and tries again if nothing had begun.
    for error in [transaction.query(COUNT, &[]).await.map(drop), transaction.tenant().await.map(drop)] {
        assert!(matches!(error, Err(DbError::Unavailable(_))), "{error:?}");
    }
}
