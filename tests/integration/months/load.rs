use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::harness::{Session, Tenant, TestDatabase};

/// Calls a second of the load.
const RATE: u64 = 50;
/// They wait for each other's row in the ledger, too: no more than have a connection.
const MOST_AT_ONCE: usize = 6;

/// `BAILIWICK_MONTHS_SECONDS=120` for a long run.
pub fn seconds() -> u64 {
    std::env::var("BAILIWICK_MONTHS_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(6)
}

/// Fifty calls a second, of which half record a usage, while another connection watches who waits for locks.
pub struct Load {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<(u64, Vec<String>)>,
    watch: JoinHandle<Duration>,
    done: Arc<AtomicU64>,
}

/// What came of a load.
pub struct Outcome {
    pub calls: u64,
    pub failures: Vec<String>,
    /// The longest that anybody was seen waiting for a lock.
    pub longest_wait: Duration,
}

impl Load {
    pub async fn start(database: &TestDatabase, tenant: &Tenant) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let session = Arc::new(Session::open(database, tenant).await);
        let calls = tokio::spawn(call(session, Arc::clone(&stop), Arc::clone(&done)));
        let watch = tokio::spawn(watch(database.connect_admin().await, Arc::clone(&stop)));
        Self { stop, calls, watch, done }
    }

    /// Waits until so many calls more were answered.
    pub async fn answered(&self, calls: u64) {
        let wanted = self.done.load(Ordering::Relaxed) + calls;
        while self.done.load(Ordering::Relaxed) < wanted && !self.calls.is_finished() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn end(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let (calls, failures) = self.calls.await.unwrap();
        Outcome { calls, failures, longest_wait: self.watch.await.unwrap() }
    }
}

async fn call(session: Arc<Session>, stop: Arc<AtomicBool>, done: Arc<AtomicU64>) -> (u64, Vec<String>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / RATE));
    let places = Arc::new(tokio::sync::Semaphore::new(MOST_AT_ONCE));
    let mut running = tokio::task::JoinSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        // A machine that is slow gets fewer calls, and none is refused for want of room.
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        number += 1;
        let (session, done) = (Arc::clone(&session), Arc::clone(&done));
        running.spawn(async move {
            let _place = place;
            let usage = json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 1, "output_tokens": 0 });
            let result = match number % 4 {
                0 | 1 => session.call("record_usage", usage).await,
                2 => session.call("search_audit_log", json!({ "limit": 5 })).await,
                _ => session.call("cost_report", json!({})).await,
            };
            done.fetch_add(1, Ordering::Relaxed);
            (result.is_error == Some(true)).then(|| format!("{:?}", result.content))
        });
    }
    let failures = running.join_all().await.into_iter().flatten().collect();
    (number, failures)
}

/// Looks every few milliseconds who waits, and since when.
async fn watch(client: tokio_postgres::Client, stop: Arc<AtomicBool>) -> Duration {
    let sql = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8
               FROM pg_locks l JOIN pg_database d ON d.oid = l.database
               WHERE NOT l.granted AND d.datname = current_database()";
    let mut longest = 0.0_f64;
    while !stop.load(Ordering::Relaxed) {
        longest = longest.max(client.query_one(sql, &[]).await.unwrap().get(0));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Duration::from_secs_f64(longest)
}

/// Costs, sums and rows agree to the last decimal.
pub async fn assert_books(database: &TestDatabase, outcome: &Outcome) {
    assert_eq!(outcome.failures, [""; 0]);
    assert!(outcome.longest_wait <= Duration::from_secs(1), "somebody waited {:?} for a lock", outcome.longest_wait);
    let rows = "SELECT count(*) FROM audit_logs WHERE outcome = 'ok' AND resource LIKE 'tools/%'";
    assert_eq!(database.value::<i64>(rows).await.unsigned_abs(), outcome.calls);
    let differing = "SELECT count(*) FROM budget_ledger l WHERE spent_usd <> (
        SELECT coalesce(sum(total_cost), 0) FROM cost_tracking c
        WHERE c.tenant_id = l.tenant_id AND l.user_id IN ('', c.user_id)
          AND date_trunc(l.period, c.timestamp AT TIME ZONE 'UTC')::date = l.starts)";
    assert_eq!(database.value::<i64>(differing).await, 0, "the ledger is the sum of its rows");
}
