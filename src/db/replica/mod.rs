//! A read replica of the database: what only reads may run there, as long as it is not too old.
//!
//! One door stays one door: what reads on the replica is a [`TenantTransaction`](super::TenantTransaction), in the caller's context, read-only. It
//! begins by asking how far the replica has replayed and whose log, so that how old at most its rows are is known of each
//! transaction by itself ([`history`]), and not only of the replica some moments ago, nor of another one behind the same name.
//! Whatever is wrong with a replica is a reason to read on the primary ([`Aside`]), never one for a call to fail; what goes wrong
//! again and again is not tried again for a while ([`breaker`]).

mod aside;
mod breaker;
mod history;
pub(super) mod moment;
mod reading;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{DbError, Deadlines, Door, Endpoint, Pool, PoolOptions, PoolStatus};
use crate::identity::TenantId;
use breaker::{Breaker, Came, Pass, Turn};
use history::History;
use watch::{Sight, Watch};

pub use aside::Aside;
pub use reading::{Chance, Reading};

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
    let mut watch = Watch::over(primary, options, &PoolOptions::default())?;
    let begun = Instant::now();
    loop {
        match watch.look().await {
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
    breaker: Mutex<Breaker>,
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
        // Whatever its URL says of patience is for those who look after it.
        let pool = Pool::of_bound_roles(options.endpoint.in_haste(LONGEST_CREATE), &reading)?;
        Ok(Self(Arc::new(Shared {
            door: Door::on_replica(pool.clone(), deadlines),
            history: Arc::clone(&watch.history),
            breaker: Mutex::default(),
            told_at: Mutex::default(),
            watch: tokio::spawn(watch.run(pool)),
        })))
    }

    /// A chance to read there, if the replica is likely to be new enough for the tenant and answers at all.
    ///
    /// # Errors
    /// Why there is none.
    pub fn chance(&self, tenant_id: TenantId) -> Result<Chance<'_>, Aside> {
        let now = Instant::now();
        let last_write = {
            let history = self.history();
            let last_write = history.last_write(tenant_id);
            history.expect(last_write, now)?;
            last_write
        };
        let pass = self.breaker().pass(now).ok_or(Aside::Resting)?;
        Ok(Chance::new(self, pass, last_write))
    }

    /// A change of that tenant was committed, or may have been: what it reads from now on must have it.
    pub fn note_write(&self, tenant_id: TenantId) {
        self.history().note_write(tenant_id, Instant::now());
    }

    /// Tells the log why something was read on the primary, where that is a failure, now and then.
    pub fn tell(&self, aside: &Aside) {
        if !aside.is_told() {
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

    fn note(&self, pass: Pass, came: Came) {
        let turn = self.breaker().note(pass, came, Instant::now());
        match turn {
            Some(Turn::Opened { rest }) => {
                let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(rest_ms, "searches fail on the replica again and again: it is left alone for a while");
            }
            Some(Turn::Closed) => tracing::info!("the replica answers again"),
            None => {}
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        // Nothing panics while it is held.
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.0.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
