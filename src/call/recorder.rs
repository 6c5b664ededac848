//! The rows of calls that did not succeed: to the database, or else to the spool.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Outcome;
use super::record::ClosedCall;
use super::spool::Spool;
use crate::db::{DbError, Door};
use crate::identity::{Caller, Scopes, TenantId, UserId};

const CLOSE: &str = include_str!("../../sql/queries/call/close.sql");

/// Rows written in one statement at most.
const LARGEST_BATCH: usize = 256;
/// Tenants whose rows are written at the same time: as many as the recorder's pool has connections.
pub(super) const CONNECTIONS: usize = 2;

/// A network may swallow what we send; another connection may fare better.
const LONGEST_WRITE: Duration = Duration::from_secs(4);

/// How a call that failed for us stands in the trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its row is there and says so.
    As(Outcome),
    /// Its row will be written once the database can be reached.
    Later,
}

/// Writes rows. Those that come while others are being written go together into the next statement, so that a flood of refusals
/// costs few transactions.
#[derive(Clone)]
pub(super) struct Recorder {
    queue: mpsc::Sender<Job>,
    kept: Arc<Kept>,
}

/// What the database does not have yet.
struct Kept {
    /// Locked while files are written and read, so only where waiting is no matter.
    spool: Mutex<Spool>,
    spooled_bytes: AtomicU64,
    /// What the spool could not take either. While there is any, no call is let in.
    unwritten: Mutex<Vec<ClosedCall>>,
}

struct Job {
    call: ClosedCall,
    done: oneshot::Sender<Result<Outcome, Unwritten>>,
}

/// Why a row is not in the database; the reason is in the log.
#[derive(Debug)]
struct Unwritten;

impl Recorder {
    /// Starts writing; the work ends with the last clone.
    pub(super) fn start(door: Door, spool: Spool) -> Self {
        let (queue, jobs) = mpsc::channel(4_096);
        tokio::spawn(write_in_batches(door, jobs));
        let (spool, spooled_bytes, unwritten) = (Mutex::new(spool), AtomicU64::new(0), Mutex::default());
        Self { queue, kept: Arc::new(Kept { spool, spooled_bytes, unwritten }) }
    }

    /// Closes a call. If it was closed already, its row stands and tells how it ended.
    ///
    /// `patience`: how long to try before the row is left for later.
    pub(super) async fn close(&self, call: ClosedCall, patience: Duration) -> Ended {
        let (begun, mut pause) = (Instant::now(), Duration::from_millis(20));
        loop {
            if let Ok(outcome) = self.write(call.clone()).await {
                return Ended::As(outcome);
            }
            if begun.elapsed() + pause > patience {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
        self.keep(call).await;
        Ended::Later
    }

    /// Whether rows are safe: in the database or on disk. If not, no call may begin.
    pub(super) fn can_record(&self) -> bool {
        lock(&self.kept.unwritten).is_empty()
    }

    /// Bytes on disk that wait for the database.
    pub(super) fn spooled_bytes(&self) -> u64 {
        self.kept.spooled_bytes.load(Ordering::Relaxed)
    }

    /// Sends what was kept, ours and that of dead processes. What cannot be sent stays.
    pub(super) async fn replay(&self) {
        let unwritten = lock(&self.kept.unwritten).clone();
        if !unwritten.is_empty() {
            let tried: Vec<_> = unwritten.iter().map(|call| call.call_id).collect();
            let failed: Vec<_> = self.write_all(unwritten).await.into_iter().map(|call| call.call_id).collect();
            let is_written = |call: &ClosedCall| tried.contains(&call.call_id) && !failed.contains(&call.call_id);
            lock(&self.kept.unwritten).retain(|call| !is_written(call));
        }
        let segments = self.with_spool(|spool| {
            spool.close_segments();
            spool.rows()
        });
        for (path, rows) in segments.await.unwrap_or_default() {
            let count = rows.len();
            if !self.write_all(rows).await.is_empty() {
                return;
            }
            match self.with_spool(move |spool| spool.remove(&path)).await {
                Some(Ok(())) => tracing::info!(rows = count, "audit rows that had waited on disk are written"),
                Some(Err(error)) => tracing::error!(%error, "a segment of the audit spool cannot be removed"),
                None => {}
            }
        }
    }

    /// The rows that could not be written.
    async fn write_all(&self, calls: Vec<ClosedCall>) -> Vec<ClosedCall> {
        let written = futures_util::future::join_all(calls.into_iter().map(async |call| {
            let written = self.write(call.clone()).await;
            written.err().map(|_| call)
        }));
        written.await.into_iter().flatten().collect()
    }

    async fn write(&self, call: ClosedCall) -> Result<Outcome, Unwritten> {
        let (done, written) = oneshot::channel();
        self.queue.send(Job { call, done }).await.map_err(|_| Unwritten)?;
        written.await.unwrap_or(Err(Unwritten))
    }

    async fn keep(&self, call: ClosedCall) {
        let (call_id, row) = (call.call_id, call.clone());
        match self.with_spool(move |spool| spool.append(&row)).await {
            Some(Ok(())) => tracing::warn!(%call_id, "the audit row of a call waits on disk for the database"),
            Some(Err(error)) => {
                tracing::error!(%call_id, %error, "an audit row can be kept nowhere: no call is let in until it can");
                lock(&self.kept.unwritten).push(call);
            }
            None => tracing::error!(%call_id, "the audit row of a call is lost: the program is being stopped"),
        }
    }

    /// Works on the files, on a thread that may wait. `None` only while the runtime shuts down.
    async fn with_spool<T: Send + 'static>(&self, work: impl FnOnce(&mut Spool) -> T + Send + 'static) -> Option<T> {
        let kept = Arc::clone(&self.kept);
        let worked = tokio::task::spawn_blocking(move || {
            let mut spool = lock(&kept.spool);
            let result = work(&mut spool);
            kept.spooled_bytes.store(spool.bytes(), Ordering::Relaxed);
            result
        });
        worked.await.ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked with it left it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write_in_batches(door: Door, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, LARGEST_BATCH).await > 0 {
        let mut tenants: HashMap<TenantId, Vec<Job>> = HashMap::new();
        for job in batch.drain(..) {
            tenants.entry(job.call.tenant_id).or_default().push(job);
        }
        futures_util::stream::iter(tenants)
            .for_each_concurrent(CONNECTIONS, |(tenant_id, jobs)| write_for_tenant(&door, tenant_id, jobs))
            .await;
    }
}

async fn write_for_tenant(door: &Door, tenant_id: TenantId, mut jobs: Vec<Job>) {
    let mut written = write(door, tenant_id, &jobs).await;
    if written.is_err() && jobs.len() > 1 && !matches!(written, Err(DbError::Unavailable(_))) {
        // One row that is refused must not take the others with it.
        for job in jobs.drain(..) {
            let job = [job];
            let written = write(door, tenant_id, &job).await;
            job.into_iter().for_each(|job| answer(job, &written));
        }
        written = Ok(HashMap::new());
    }
    for job in jobs {
        answer(job, &written);
    }
}

fn answer(job: Job, written: &Result<HashMap<Uuid, Outcome>, DbError>) {
    let outcome = match written {
        Ok(outcomes) => outcomes.get(&job.call.call_id).copied().ok_or(Unwritten),
        Err(error) => {
            tracing::warn!(call_id = %job.call.call_id, %error, "an audit row could not be written");
            Err(Unwritten)
        }
    };
    // Whoever does not wait any more finds the row in the trail.
    drop(job.done.send(outcome));
}

async fn write(door: &Door, tenant_id: TenantId, jobs: &[Job]) -> Result<HashMap<Uuid, Outcome>, DbError> {
    let written = tokio::time::timeout(LONGEST_WRITE, write_unbounded(door, tenant_id, jobs)).await;
    written.unwrap_or_else(|_| Err(DbError::Unavailable("no answer in time".to_owned())))
}

async fn write_unbounded(door: &Door, tenant_id: TenantId, jobs: &[Job]) -> Result<HashMap<Uuid, Outcome>, DbError> {
    let calls = Value::Array(jobs.iter().filter_map(|job| serde_json::to_value(&job.call).ok()).collect());
    // close_calls() takes each row's own user; the context's is only for the policies, which ask for none.
    let user_id = UserId::parse("bailiwick").map_err(|error| DbError::Other(error.to_string()))?;
    let recorder = Caller { tenant_id, user_id, scopes: Scopes::default() };
    let transaction = door.open(&recorder).await?;
    let row = transaction.finish(CLOSE, &[&calls]).await?;
    let ended: Value = row.try_get("ended")?;
    serde_json::from_value(ended).map_err(|error| DbError::Other(error.to_string()))
}
