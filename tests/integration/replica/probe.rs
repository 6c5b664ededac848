use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick::call::{Action, Answer, Call, CallOptions, Calls, Client, Failure, Hints, Problems, ReadFrom, Tool};
use bailiwick::identity::{Caller, Scope, Scopes, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tokio_util::sync::CancellationToken;

use super::pair::Pair;

/// Reads what its caller may see, and in what circumstances.
#[derive(Default)]
pub struct Probe {
    /// Whether its statements fail on the replica.
    pub fails: AtomicBool,
    /// Whether it has a second statement there, which takes a while.
    pub lingers: AtomicBool,
    /// How often it was begun on the replica, and how often ended there.
    pub begun: AtomicUsize,
    pub ended: AtomicUsize,
}

#[derive(Deserialize, JsonSchema)]
pub struct Nothing {}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Seen {
    pub titles: String,
    pub isolation: String,
    pub read_from: String,
}

impl Tool for Probe {
    type Input = Nothing;
    type Request = ();
    type Output = Seen;

    const NAME: &'static str = "probe";
    const TITLE: &'static str = "Probe";
    const DESCRIPTION: &'static str = "Reads.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };
    const READS_REPLICA: bool = true;

    fn check(&self, _: Nothing) -> Result<(), Problems> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, (): &()) -> Result<Answer<Seen>, Failure> {
        let is_there = !std::ptr::eq(call.reader, call.transaction);
        let failed = |error| call.failed(&error);
        self.begun.fetch_add(usize::from(is_there), Ordering::SeqCst);
        if is_there && self.fails.load(Ordering::SeqCst) {
            call.reader.query("SELECT 1 FROM of_no_such_table", &[]).await.map_err(failed)?;
        }
        let sql = "SELECT current_setting('transaction_isolation') AS isolation,
                          (SELECT coalesce(string_agg(title, '; '), '') FROM documents) AS titles";
        let row = call.reader.query_one(sql, &[]).await.map_err(failed)?;
        if is_there && self.lingers.load(Ordering::SeqCst) {
            call.reader.query("SELECT pg_sleep(0.3)", &[]).await.map_err(failed)?;
        }
        self.ended.fetch_add(usize::from(is_there), Ordering::SeqCst);
        let output = Seen { titles: row.get("titles"), isolation: row.get("isolation"), read_from: String::new() };
        Ok(Answer::new(output))
    }

    fn note_reading(output: &mut Seen, from: ReadFrom) {
        output.read_from = from.name().to_owned();
    }
}

/// One who probes, of the tenant whose documents have the word quetzal in their titles.
pub struct Prober {
    pub calls: Calls,
    pub tool: Arc<Probe>,
    caller: Caller,
}

impl Prober {
    pub async fn of(pair: &Pair, options: &CallOptions) -> Self {
        let user_id = UserId::parse("prober").unwrap();
        let caller = Caller { tenant_id: pair.database.tenant("demo").await.id, user_id, scopes: Scopes::all() };
        Self { calls: Calls::open(pair.database.app(), options).unwrap(), tool: Arc::default(), caller }
    }

    /// Whatever is wrong with a replica, the call is answered, of its own tenant and of this database.
    pub async fn probe(&self) -> Seen {
        let never = CancellationToken::new();
        let seen = self.calls.run(&self.tool, &self.caller, Client::default(), Map::new(), &never).await.unwrap();
        assert!(seen.titles.contains("quetzal"), "{seen:?}");
        assert!(!seen.titles.contains("narwhal") && !seen.titles.contains("Fork"), "{seen:?}");
        assert_eq!(seen.isolation, "read committed", "{seen:?}");
        seen
    }

    /// Probes until it is read there.
    pub async fn until(&self, wanted: &str) {
        for _ in 0..1_000 {
            if self.probe().await.read_from == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing is read on the {wanted} in fifty seconds");
    }
}
