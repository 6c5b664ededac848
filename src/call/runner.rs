use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, debug_span, field};

use super::admission::{Admission, AdmissionOptions};
use super::options::{CallOptions, Readiness};
use super::record::{Client, Record};
use super::recorder::{self, Ended, Recorder};
use super::spool::{self, Spool};
use super::upkeep::Upkeep;
use super::work::{Done, Order, Work};
use super::{After, Answer, Failure, Outcome, Tool, audit, metering};
use crate::db::{DbError, Deadlines, Door, Endpoint, Lease, Parameter, Pool, PoolOptions, Replica, System};
use crate::identity::Caller;

/// How long the end of a successful call may take: its last statements and COMMIT.
const COMMIT_LIMIT: Duration = Duration::from_secs(5);
/// How long the database is asked what became of a COMMIT whose answer was lost.
const RESOLVE_LIMIT: Duration = Duration::from_secs(6);
/// How long to try to write a failure's row before it goes to disk.
pub(super) const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long a refusal for want of room waits for its row.
const REFUSAL_LIMIT: Duration = Duration::from_millis(10);
/// Refusals whose rows are on their way; beyond, they wait.
const MOST_UNHEARD: usize = 4_096;
/// How long the last rows are tried when the server ends.
const LAST_ROWS: Duration = Duration::from_secs(3);
/// Runs calls. Cheap to clone.
#[derive(Clone)]
pub struct Calls(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub door: Door,
    pub replica: Option<Replica>,
    pub lease: Lease,
    pub recorder: Recorder,
    system: System,
    pub admission: Admission,
    /// Of a client's call.
    pub deadline: Duration,
    spool: PathBuf,
    spool_bytes: u64,
    pub tracker: TaskTracker,
    unheard: Arc<Semaphore>,
    /// No call is let in any more.
    pub closing: CancellationToken,
    /// Calls under way are to end now.
    stopping: CancellationToken,
    _upkeep: Upkeep,
}

pub(super) const STOPPING: Failure = Failure::Unavailable { reason: "the server is being stopped.", retry_after_s: 5 };

impl Calls {
    /// Opens calls on a database, as the application role, and starts what goes on between them.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the options make no valid pool.
    pub fn open(endpoint: impl Into<Endpoint>, options: &CallOptions) -> Result<Self, DbError> {
        let endpoint: Endpoint = endpoint.into();
        let pool = Pool::new(&endpoint, &options.pool)?;
        // The trail has connections of its own: it must not wait for the calls that it is about.
        let trail = Pool::new(&endpoint, &PoolOptions { size: recorder::CONNECTIONS, ..options.pool.clone() })?;
        let replica = options.replica.as_ref();
        let replica =
            replica.map(|replica| Replica::start(&endpoint, replica, &options.pool, options.database)).transpose()?;
        let quick = Deadlines { statement: Duration::from_secs(3), lock: Duration::from_secs(1), ..options.database };
        let spool = Spool::new(options.spool.clone(), options.spool_bytes);
        let recorder = Recorder::start(Door::new(trail.clone(), quick), spool);
        let admission = options.admission.unwrap_or_else(|| AdmissionOptions::for_connections(options.pool.size));
        Ok(Self(Arc::new(Shared {
            door: Door::new(pool, options.database),
            replica,
            lease: Lease::new(&endpoint),
            admission: Admission::new(admission),
            deadline: options.deadline,
            spool: options.spool.clone(),
            spool_bytes: options.spool_bytes,
            tracker: TaskTracker::new(),
            unheard: Arc::new(Semaphore::new(MOST_UNHEARD)),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
            _upkeep: Upkeep::start(recorder.clone(), System::new(trail.clone())),
            system: System::new(trail),
            recorder,
        })))
    }

    /// Runs one call to its end, audit row included.
    ///
    /// It runs as a task of its own, so that it ends in order whatever becomes of its client. `cancelled` stops it, and
    /// so does dropping this future: its statement is stopped, its work rolled back. A call that is being committed by then is
    /// committed to its end.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told.
    pub async fn run<T: Tool>(
        &self,
        tool: &Arc<T>,
        caller: &Caller,
        client: Client,
        arguments: Map<String, Value>,
        cancelled: &CancellationToken,
    ) -> Result<T::Output, Failure> {
        let record = Record::new(T::ACTION, format!("{}/{}", T::SURFACE, T::NAME), caller.clone(), client);
        self.run_task(tool, record, Order::OfClient { arguments }, cancelled).await
    }

    /// Runs work that the server does by itself as a call of its own kind: one audit row, like any other. It waits for no turn
    /// and is held to no tenant's rate, but ends with the server.
    ///
    /// # Errors
    /// The [`Failure`] that its row tells.
    pub(crate) async fn run_own<T: Tool>(
        &self,
        tool: &Arc<T>,
        caller: &Caller,
        request: T::Request,
        deadline: Duration,
    ) -> Result<T::Output, Failure> {
        let record = Record::new(T::ACTION, format!("{}/{}", T::SURFACE, T::NAME), caller.clone(), Client::default());
        self.run_task(tool, record, Order::Own { request, deadline }, &CancellationToken::new()).await
    }

    async fn run_task<T: Tool>(
        &self,
        tool: &Arc<T>,
        record: Record,
        order: Order<T>,
        cancelled: &CancellationToken,
    ) -> Result<T::Output, Failure> {
        let call_id = record.call_id;
        let cancelled = cancelled.child_token();
        let _gone = cancelled.clone().drop_guard();
        let (calls, tool) = (self.clone(), Arc::clone(tool));
        let span = tracing::info_span!("call", %call_id, tool = T::NAME, tenant = %record.caller.tenant_id, outcome = field::Empty, otel.status_code = field::Empty);
        let running = async move {
            let result = calls.run_to_end(&tool, &record, order, &cancelled).await;
            if let Err(failure) = &result {
                metering::failed(T::NAME, failure.code());
                Span::current().record("otel.status_code", "ERROR");
            }
            Span::current().record("outcome", result.as_ref().err().map_or("ok", |failure| failure.code().name()));
            result
        };
        let task = self.0.tracker.spawn(running.instrument(span));
        match task.await {
            Ok(result) => result,
            Err(_) => Err(Failure::Internal { call_id }),
        }
    }

    async fn run_to_end<T: Tool>(
        &self,
        tool: &Arc<T>,
        record: &Record,
        order: Order<T>,
        cancelled: &CancellationToken,
    ) -> Result<T::Output, Failure> {
        if !self.0.recorder.can_record() {
            // Not accepted, hence no row: there is no place where it could be kept.
            return Err(Failure::Unavailable { reason: "the audit trail cannot be written.", retry_after_s: 5 });
        }
        let mut details = Map::new();
        let mut permit = None;
        let deadline = order.deadline(self.0.deadline);
        let work = self.work(tool, record, order, &mut details, &mut permit);
        let guarded = std::panic::AssertUnwindSafe(work).catch_unwind();
        let ended = tokio::select! {
            biased;
            () = cancelled.cancelled() => Work::Failed(Failure::Cancelled),
            () = self.0.stopping.cancelled() => Work::Failed(STOPPING),
            ended = tokio::time::timeout(deadline, guarded) => match ended {
                Ok(Ok(work)) => work,
                // The panic hook has already told the log what and where.
                Ok(Err(_panic)) => {
                    drop(permit);
                    let failure = Failure::Internal { call_id: record.call_id };
                    return self.close::<T>(record, details, Outcome::Panic, failure).await;
                }
                Err(_elapsed) => Work::Failed(Failure::Timeout { limit_s: deadline.as_secs() }),
            },
        };
        if matches!(ended, Work::Failed(_)) {
            // Its connection is free, or lost; its row needs none of those that calls wait for.
            drop(permit);
        }
        match ended {
            Work::Done(done) => {
                let (done, request) = *done;
                let mut output = self.commit::<T>(record, details, done).await?;
                let after = After { calls: self, record };
                let waited = tool.after(&after, &request, &mut output).instrument(debug_span!("after"));
                tokio::select! {
                    biased;
                    () = cancelled.cancelled() => {}
                    () = self.0.stopping.cancelled() => {}
                    // A panic here is no reason to tell a client that what is committed was not.
                    _ = tokio::time::timeout_at((record.started + deadline).into(), std::panic::AssertUnwindSafe(waited).catch_unwind()) => {}
                }
                Ok(output)
            }
            Work::Failed(failure) => self.close::<T>(record, details, Outcome::of(failure.code()), failure).await,
        }
    }

    /// The end of a successful call. Once it has begun nobody stops it.
    async fn commit<T: Tool>(
        &self,
        record: &Record,
        mut details: Map<String, Value>,
        done: Done<T::Output>,
    ) -> Result<T::Output, Failure> {
        let Done { transaction, answer: Answer { mut output, resource_id, details: found, last } } = done;
        let described = details.clone();
        details.extend(found);
        let parameters: Vec<Parameter<'_>> = last.iter().flat_map(|last| &last.parameters).map(|p| &**p as _).collect();
        let before = last.as_ref().map(|last| (last.sql, parameters.as_slice()));
        let completed = audit::complete(transaction, record, resource_id, details, before);
        let completed = completed.instrument(debug_span!("commit"));
        let completed = tokio::time::timeout(COMMIT_LIMIT, completed).await;
        // Whatever the answer: what may have been changed is to be seen.
        self.note_write::<T>(record);
        let error = match completed {
            Ok(Ok(rows)) => {
                metering::ended(T::NAME, Outcome::Ok, record);
                drop(parameters);
                if let Some(last) = last {
                    last.complete(&mut output, &rows);
                }
                return Ok(output);
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => DbError::Unavailable("no answer to COMMIT in time".to_owned()),
        };
        if matches!(error, DbError::Closed(_)) {
            // Whoever closed it took our lease for lost; it probably is.
            self.0.lease.renew();
        }
        let failure = Failure::from_db(&error, record.call_id);
        let call = record.failed(described, failure.code());
        // Only the trail knows whether a COMMIT arrived whose answer did not.
        let is_ambiguous = matches!(error, DbError::Unavailable(_));
        let patience = if is_ambiguous { RESOLVE_LIMIT } else { CLOSE_LIMIT };
        let closed = self.0.recorder.close(call, patience).await;
        self.note_write::<T>(record);
        let (ended, outcome) = match closed {
            Ended::As(Outcome::Ok) => {
                if let Some(last) = last {
                    last.complete(&mut output, &[]);
                }
                (Ok(output), Outcome::Ok)
            }
            Ended::Later if is_ambiguous => (Err(Failure::OutcomeUnknown { call_id: record.call_id }), Outcome::Error),
            Ended::As(outcome) => (Err(failure), outcome),
            Ended::Later => (Err(failure), Outcome::Error),
        };
        metering::ended(T::NAME, outcome, record);
        ended
    }

    async fn close<T: Tool>(
        &self,
        record: &Record,
        details: Map<String, Value>,
        outcome: Outcome,
        failure: Failure,
    ) -> Result<T::Output, Failure> {
        let call = record.closed(details, outcome, failure.code().name());
        let recorder = self.0.recorder.clone();
        // Nothing was begun, so the refusal may leave a little before its row is there: whoever is full must say so soon.
        let place = match failure {
            Failure::Overloaded { .. } | Failure::RateLimited { .. } => {
                Arc::clone(&self.0.unheard).try_acquire_owned().ok()
            }
            _ => None,
        };
        if let Some(place) = place {
            let closed = self.0.tracker.spawn(async move {
                recorder.close(call, CLOSE_LIMIT).await;
                drop(place);
            });
            drop(tokio::time::timeout(REFUSAL_LIMIT, closed).await);
        } else {
            recorder.close(call, CLOSE_LIMIT).await;
        }
        metering::ended(T::NAME, outcome, record);
        Err(failure)
    }

    /// The door, for what belongs to no call: it discloses and changes nothing that a caller knows of.
    pub(crate) fn door(&self) -> &Door {
        &self.0.door
    }

    /// The key of the lock that this server holds while it lives.
    pub(crate) async fn lease(&self) -> Result<i64, DbError> {
        self.0.lease.key().await
    }

    /// Resolves once no call is let in any more.
    pub(crate) async fn closing(&self) {
        self.0.closing.cancelled().await;
    }

    /// What is asked before there is a tenant, on the trail's connections.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.0.system
    }

    /// Whether calls can be served.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness {
            can_record: self.0.recorder.can_record(),
            spooled_bytes: self.0.recorder.spooled_bytes(),
            spool_room_bytes: spool::room_bytes(&self.0.spool, self.0.spool_bytes, self.0.recorder.spooled_bytes()),
            closing: self.0.closing.is_cancelled(),
        }
    }

    /// Brings the figures up to date that are levels rather than events.
    pub fn gauge(&self) {
        metering::pool("calls", self.0.door.pool_status());
        metering::pool("trail", self.0.system.pool_status());
        if let Some(replica) = &self.0.replica {
            metering::pool("replica", replica.pool_status());
            metering::replica(replica.lag());
        }
        metering::trail(self.0.recorder.spooled_bytes(), self.0.recorder.can_record());
    }

    /// Lets no further call in and waits until those under way have ended, each with its row. What takes longer than
    /// `patience` is stopped. True if every row is in the database or on disk.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.0.closing.cancel();
        self.0.tracker.close();
        if tokio::time::timeout(patience, self.0.tracker.wait()).await.is_err() {
            tracing::warn!("calls that did not end in time are stopped");
            self.0.stopping.cancel();
            if tokio::time::timeout(COMMIT_LIMIT + RESOLVE_LIMIT, self.0.tracker.wait()).await.is_err() {
                tracing::error!("calls could not be stopped");
            }
        }
        drop(tokio::time::timeout(LAST_ROWS, self.0.recorder.replay()).await);
        self.0.recorder.can_record()
    }
}
