//! The rows of calls that did not succeed: to the database, or else to the spool.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::Outcome;
use super::record::ClosedCall;
use super::spool::{Segment, Spool};
use crate::db::{DbError, Door};
use crate::identity::{Caller, Scopes, TenantId, UserId};

const CLOSE: &str = include_str!("../../sql/queries/call/close.sql");

/// Rows written in one statement at most.
const LARGEST_BATCH: usize = 256;
/// Tenants whose rows are written at the same time: as many as the recorder's pool has connections.
pub(super) const CONNECTIONS: usize = 2;

/// A batch of so many rows is no coincidence: the next one is given time to grow, for a row costs much less than a transaction.
const FLOOD: usize = 16;
const GATHERING: Duration = Duration::from_millis(20);
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
        let tries = async {
            let mut pause = Duration::from_millis(20);
            loop {
                match self.write(call.clone()).await {
                    Ok(outcome) => return outcome,
                    Err(Unwritten) => tokio::time::sleep(pause).await,
                }
                pause = (pause * 2).min(Duration::from_millis(500));
            }
        };
        // A write that comes through later all the same adds nothing to what the spool will send.
        if let Ok(outcome) = tokio::time::timeout(patience, tries).await {
            return Ended::As(outcome);
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

    /// Sends what was kept, ours and that of dead processes, a part at a time so that calls that end now come in between. What
    /// cannot be sent stays.
    pub(super) async fn replay(&self) {
        let unwritten = lock(&self.kept.unwritten).clone();
        for call in unwritten {
            let call_id = call.call_id;
            // The disk may have room again while the database is still away.
            if self.write(call.clone()).await.is_ok() || matches!(self.spool(call).await, Some(Ok(()))) {
                lock(&self.kept.unwritten).retain(|other| other.call_id != call_id);
            }
        }
        for segment in self.with_spool(Spool::segments).await.unwrap_or_default() {
            self.send(segment).await;
        }
    }

    async fn send(&self, segment: Segment) {
        let path = segment.path().display().to_string();
        let reading = segment.clone();
        let contents = match tokio::task::spawn_blocking(move || reading.contents()).await {
            Ok(Ok(contents)) => contents,
            Ok(Err(error)) => return tracing::error!(path, %error, "a segment of the audit spool cannot be read"),
            Err(_stopping) => return,
        };
        let count = contents.rows.len();
        for part in contents.rows.chunks(LARGEST_BATCH) {
            let written = futures_util::future::join_all(part.iter().map(|call| self.write(call.clone()))).await;
            if written.iter().any(Result::is_err) {
                return;
            }
        }
        let done = self.with_spool(move |spool| match contents.is_strange {
            false => spool.remove(&segment).map(|()| None),
            true => spool.set_aside(&segment).map(Some),
        });
        match done.await {
            Some(Ok(None)) => tracing::info!(rows = count, "audit rows that had waited on disk are written"),
            Some(Ok(Some(aside))) => {
                tracing::error!(path = %aside.display(), "this part of the audit spool is not of this version, or damaged: look at it");
            }
            Some(Err(error)) => tracing::error!(path, %error, "a segment of the audit spool cannot be removed"),
            None => {}
        }
    }

    async fn write(&self, call: ClosedCall) -> Result<Outcome, Unwritten> {
        let (done, written) = oneshot::channel();
        self.queue.send(Job { call, done }).await.map_err(|_| Unwritten)?;
        written.await.unwrap_or(Err(Unwritten))
    }

    async fn keep(&self, call: ClosedCall) {
        let call_id = call.call_id;
        match self.spool(call.clone()).await {
            Some(Ok(())) => tracing::warn!(%call_id, "the audit row of a call waits on disk for the database"),
            spooled => {
                let error = spooled.and_then(Result::err);
                tracing::error!(%call_id, ?error, "an audit row can be kept nowhere: no call is let in until it can");
                lock(&self.kept.unwritten).push(call);
            }
        }
    }

    async fn spool(&self, call: ClosedCall) -> Option<io::Result<()>> {
        self.with_spool(move |spool| spool.append(&call)).await
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
        let is_flood = tenants.values().map(Vec::len).sum::<usize>() >= FLOOD;
        futures_util::stream::iter(tenants)
            .for_each_concurrent(CONNECTIONS, |(tenant_id, jobs)| write_for_tenant(&door, tenant_id, jobs))
            .await;
        if is_flood {
            tokio::time::sleep(GATHERING).await;
        }
    }
}

async fn write_for_tenant(door: &Door, tenant_id: TenantId, mut jobs: Vec<Job>) {
    let mut written = write(door, tenant_id, &jobs).await;
    let is_refused = !matches!(written, Ok(_) | Err(DbError::Unavailable(_) | DbError::TimedOut(_)));
    if is_refused && jobs.len() > 1 {
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
            tracing::debug!(call_id = %job.call.call_id, %error, "an audit row could not be written yet");
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
