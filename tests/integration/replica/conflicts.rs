use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick::call::{Action, Answer, Call, Calls, Client, Failure, Hints, Problems, ReadFrom, Tool};
use bailiwick::db::DbError;
use bailiwick::identity::{Caller, Scope, Scopes, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::answers::stock;
use super::pair::Pair;

/// Reads long enough to be in the way of what the standby replays.
#[derive(Default)]
struct Dawdler {
    there: AtomicUsize,
    here: AtomicUsize,
    conflicts: AtomicUsize,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Debug, Serialize, JsonSchema)]
struct Seen {
    documents: i64,
    read_from: String,
}

impl Tool for Dawdler {
    type Input = Nothing;
    type Request = ();
    type Output = Seen;

    const NAME: &'static str = "dawdle";
    const TITLE: &'static str = "Dawdle";
    const DESCRIPTION: &'static str = "Reads slowly.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };
    const READS_REPLICA: bool = true;

    fn check(&self, _: Nothing) -> Result<(), Problems> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, (): &()) -> Result<Answer<Seen>, Failure> {
        // The table is held while it sleeps, once.
        const SLOW: &str =
            "WITH slept AS MATERIALIZED (SELECT pg_sleep(2)) SELECT count(*) AS documents FROM slept, documents";
        const QUICK: &str = "SELECT count(*) AS documents FROM documents";
        let is_there = !std::ptr::eq(call.reader, call.transaction);
        let (counter, sql) = if is_there { (&self.there, SLOW) } else { (&self.here, QUICK) };
        counter.fetch_add(1, Ordering::SeqCst);
        let row = call.reader.query_one(sql, &[]).await;
        if matches!(row, Err(DbError::Conflict(_))) {
            self.conflicts.fetch_add(1, Ordering::SeqCst);
        }
        let row = row.map_err(|error| call.failed(&error))?;
        let output = Seen { documents: row.get("documents"), read_from: String::new() };
        Ok(Answer::new(output))
    }

    fn note_reading(output: &mut Seen, from: ReadFrom) {
        output.read_from = from.name().to_owned();
    }
}

#[tokio::test]
async fn a_statement_that_the_replica_stops_is_read_once_more_on_the_primary() {
    let pair = Pair::start(stock).await;
    pair.replayed().await;
    let replica = pair.connect_replica().await;
    replica.batch_execute("ALTER SYSTEM SET max_standby_streaming_delay = 0").await.unwrap();
    replica.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let calls = Calls::open(pair.database.app(), &pair.options(Duration::from_secs(3_600))).unwrap();
    let user_id = UserId::parse("dawdler").unwrap();
    let caller = Caller { tenant_id: pair.database.tenant("demo").await.id, user_id, scopes: Scopes::all() };
    let tool = Arc::new(Dawdler::default());
    let run =
        async || calls.run(&tool, &caller, Client::default(), Map::new(), &CancellationToken::new()).await.unwrap();
    // Once the replica is known to be one.
    let mut seen = run().await;
    let mut asked = 1;
    while seen.read_from != "replica" {
        tokio::time::sleep(Duration::from_millis(250)).await;
        seen = run().await;
        asked += 1;
        assert!(asked < 240, "the replica was not asked in a minute");
    }
    assert_eq!(seen.documents, 12);
    let (there, here) = (tool.there.load(Ordering::SeqCst), tool.here.load(Ordering::SeqCst));

    // A lock that the replica has to take as the primary did, and that the statement is in the way of.
    let lock = async {
        for _ in 0..1_000 {
            pair.database.execute("BEGIN; LOCK TABLE documents IN ACCESS EXCLUSIVE MODE; ROLLBACK").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let seen = tokio::select! {
        seen = run() => seen,
        () = lock => panic!("it is never answered"),
    };
    assert_eq!((seen.read_from.as_str(), seen.documents), ("primary", 12), "{seen:?}");
    assert_eq!(tool.conflicts.load(Ordering::SeqCst), 1, "it was stopped by what was replayed");
    let asked_again = (tool.there.load(Ordering::SeqCst) - there, tool.here.load(Ordering::SeqCst) - here);
    assert_eq!(asked_again, (1, 1), "once of each");
    let rows: Value = pair
        .database
        .value("SELECT jsonb_build_array(count(*), count(DISTINCT call_id), count(*) FILTER (WHERE outcome = 'ok')) FROM audit_logs WHERE resource = 'tools/dawdle'")
        .await;
    assert_eq!(rows, serde_json::json!([asked + 1, asked + 1, asked + 1]));
}
