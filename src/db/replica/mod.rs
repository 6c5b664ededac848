//! A read replica of the database: what only reads may run there, as long as it is not too old.
//!
//! One door stays one door: what reads on the replica is a [`TenantTransaction`], in the caller's context, read-only. It
//! begins by asking how far the replica has replayed, so that how old at most its rows are is known of each
//! transaction by itself ([`history`]), and not only of the replica some moments ago. Whatever is wrong with a replica is
//! a reason to read on the primary ([`Aside`]), never one for a call to fail.

mod aside;
mod history;
pub(super) mod moment;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{DbError, Deadlines, Door, Endpoint, Pool, PoolOptions, PoolStatus, TenantTransaction};
use crate::identity::{Caller, TenantId};
use history::History;
use watch::{Sight, Watch};

pub use aside::Aside;

/// What a replica lacks may have been committed so long ago, unless configured otherwise.
pub const DEFAULT_MAX_LAG: Duration = Duration::from_millis(1_000);
/// Nobody waits longer for a connection, for the primary can be asked at once.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// Nor for a new one.
const LONGEST_CREATE: Duration = Duration::from_millis(500);
/// After that a statement is for the primary, which needs its own share of the call's time.
const LONGEST_STATEMENT: Duration = Duration::from_secs(3);
/// Between two lines of the log that tell of failures.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Which replica, and how old what is read there may be.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// How to connect, as the application role.
    pub endpoint: Endpoint,
    /// What it lacks may have been committed so long ago at most.
    pub max_lag: Duration,
}

/// Looks at a replica as long as it may lag: why searches could not be read there, if they could not.
///
/// # Errors
/// [`DbError::Unavailable`] if the options make no valid pool.
pub async fn examine_replica(primary: &Endpoint, options: &ReplicaOptions) -> Result<Option<String>, DbError> {
    let watch = Watch::over(primary, options, &PoolOptions::default())?;
    let begun = Instant::now();
    loop {
        match watch.look(false).await {
            Ok(Sight::Fresh) => return Ok(None),
            Ok(Sight::Lagging) if begun.elapsed() <= options.max_lag => tokio::time::sleep(watch.pause()).await,
            Ok(Sight::Lagging) => {
                return Ok(Some(format!("lags behind by more than {} ms", options.max_lag.as_millis())));
            }
            Ok(Sight::Unusable(reason)) => return Ok(Some(format!("cannot be used: {reason}"))),
            Err(error) => return Ok(Some(format!("cannot be asked: {error}"))),
        }
    }
}

/// A replica that is watched as long as this is held. Cheap to clone.
#[derive(Clone)]
pub struct Replica(Arc<Shared>);

struct Shared {
    door: Door,
    history: Arc<Mutex<History>>,
    told_at: Mutex<Option<Instant>>,
    watch: JoinHandle<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Replica {
    /// Begins to watch a replica. It is used once it was found to be one of this primary; that it is away is no error.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the options make no valid pool.
    pub fn start(
        primary: &Endpoint,
        options: &ReplicaOptions,
        pool: &PoolOptions,
        deadlines: Deadlines,
    ) -> Result<Self, DbError> {
        let reading =
            PoolOptions { wait: LONGEST_WAIT.min(pool.wait), create: LONGEST_CREATE.min(pool.create), ..pool.clone() };
        let deadlines = Deadlines { statement: LONGEST_STATEMENT.min(deadlines.statement), ..deadlines };
        let watch = Watch::over(primary, options, pool)?;
        Ok(Self(Arc::new(Shared {
            door: Door::on_replica(Pool::new(&options.endpoint, &reading)?, deadlines),
            history: Arc::clone(&watch.history),
            told_at: Mutex::default(),
            watch: tokio::spawn(watch.run()),
        })))
    }

    /// Opens a transaction of the caller's that only reads, if the replica is likely to be new enough for it.
    ///
    /// # Errors
    /// Why it is not, or could not be asked.
    pub async fn open(&self, caller: &Caller) -> Result<Reading<'_>, Aside> {
        let last_write = {
            let history = self.history();
            let last_write = history.last_write(caller.tenant_id);
            history.expect(last_write, Instant::now())?;
            last_write
        };
        let opened = self.0.door.open(caller).await;
        let transaction = opened.map_err(|error| Aside::of(&error))?;
        Ok(Reading { replica: self, transaction, last_write })
    }

    /// A change of that tenant was committed, or may have been: what it reads from now on must have it.
    pub fn note_write(&self, tenant_id: TenantId) {
        self.history().note_write(tenant_id, Instant::now());
    }

    /// Tells the log why something was read on the primary, where that is a failure, now and then.
    pub fn tell(&self, aside: &Aside) {
        if !aside.is_failure() {
            return;
        }
        let mut told_at = self.0.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|told_at| told_at.elapsed() > BETWEEN_LINES) {
            *told_at = Some(Instant::now());
            tracing::warn!(reason = aside.name(), %aside, "a search was read on the primary instead of the replica");
        }
    }

    /// How long ago what the replica lacks was committed at most; `None` while it cannot be told.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.history().lag(Instant::now())
    }

    /// How its pool stands.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        self.0.door.pool_status()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // Nothing panics while it is held.
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction on the replica. Whoever has it ends it by [`judge`](Self::judge) or drops it, which stops its statement.
pub struct Reading<'a> {
    replica: &'a Replica,
    transaction: TenantTransaction,
    last_write: Option<Instant>,
}

impl Reading<'_> {
    /// Where to read.
    #[must_use]
    pub fn transaction(&self) -> &TenantTransaction {
        &self.transaction
    }

    /// Ends it: how old at most is what was read, if that is not too old.
    ///
    /// # Errors
    /// Why what was read must not be told.
    pub async fn judge(self) -> Result<Duration, Aside> {
        let Self { replica, transaction, last_write } = self;
        let moment = transaction.moment().await;
        let judged = match (transaction.failure(), moment) {
            (Some(error), _) => {
                if matches!(error, DbError::Unavailable(_)) {
                    // Nobody else need try it before it was heard of again.
                    replica.history().note_away();
                }
                Err(Aside::of(error))
            }
            (None, Ok(Some(moment))) => replica.history().staleness(moment.place, last_write, Instant::now()),
            (None, _) => {
                // It was promoted: whatever it says is another database's from now on.
                replica.history().note_away();
                Err(Aside::Away)
            }
        };
        // The caller need not wait for it to be rolled back.
        tokio::spawn(transaction.abandon());
        judged
    }
}
