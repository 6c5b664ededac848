//! Up and down.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::error::{LockHolder, MigrationError};
use super::files::{Migration, Migrations};
use super::lock::{Lock, Wait};
use super::name::Direction;
use super::refuse;
use super::state::{self, Found, State};
use super::step::Step;

/// Between two tries of a migration that did not get its locks, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longer than PostgreSQL's `deadlock_timeout` of a second, and shorter than what a call may be made to wait.
const PAST_DEADLOCK_TIMEOUT: Duration = Duration::from_millis(1_200);

/// How to run migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// What the migrations read as `bailiwick.embedding_dimensions`; none leaves their default.
    pub embedding_dimensions: Option<u16>,
    /// How long to wait for another runner; 60 seconds by default.
    pub lock_wait: Duration,
    /// How often to ask for the lock meanwhile; four times a second by default.
    pub lock_poll: Duration,
    /// How long a statement waits for a lock on a table (zero: for ever); a quarter of a second by default,
    /// for every call that wants the table queues behind the waiting migration.
    pub lock_timeout: Duration,
    /// For how long a migration that did not get its locks is tried again, from its beginning; a minute by
    /// default. Between two tries it holds nothing, and calls pass.
    pub lock_patience: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            embedding_dimensions: None,
            lock_wait: Duration::from_secs(60),
            lock_poll: Duration::from_millis(250),
            lock_timeout: Duration::from_millis(250),
            lock_patience: Duration::from_secs(60),
        }
    }
}

/// What the runner is doing, for a person who watches.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Another session is migrating; told once.
    WaitingForLock {
        /// Who.
        holder: Option<&'a LockHolder>,
    },
    /// A migration starts.
    Started {
        /// Its file.
        file: &'a str,
    },
    /// Somebody else holds a lock that it needs, so it gave back its own and will be tried again; told once.
    Yielding {
        /// Its file.
        file: &'a str,
    },
    /// A migration is committed.
    Finished(&'a Applied),
}

/// A migration that was run and committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// How long it ran.
    pub duration: Duration,
}

/// Moves a database between the versions of a list of migrations.
#[derive(Debug, Clone, Copy)]
pub struct Runner<'m> {
    migrations: &'m Migrations,
    options: RunOptions,
}

impl<'m> Runner<'m> {
    /// A runner of these migrations.
    pub fn new(migrations: &'m Migrations, options: RunOptions) -> Self {
        Self { migrations, options }
    }

    /// Applies what is pending, at most `limit`. When one fails, those before it stay applied.
    ///
    /// # Errors
    /// When the state forbids it, the lock is not to be had, or a migration fails.
    pub async fn up(
        &self,
        client: &mut Client,
        limit: Option<usize>,
        progress: impl FnMut(Progress<'_>) + Send,
    ) -> Result<Vec<Applied>, MigrationError> {
        let plan = |state: &State| {
            let pending = self.migrations.after(state.current);
            Ok(pending.take(limit.unwrap_or(usize::MAX)).collect())
        };
        self.run(client, Direction::Up, plan, progress).await
    }

    /// Undoes the last `count` migrations, or none if there are not as many.
    ///
    /// # Errors
    /// When fewer are applied, the state forbids it, the lock is not to be had, or one fails.
    pub async fn down(
        &self,
        client: &mut Client,
        count: usize,
        progress: impl FnMut(Progress<'_>) + Send,
    ) -> Result<Vec<Applied>, MigrationError> {
        let plan = |state: &State| {
            let current = state.current.unwrap_or(0);
            let applied = self.migrations.iter().rev().filter(|one| one.version() <= current);
            let plan: Vec<_> = applied.collect();
            if count > plan.len() {
                return Err(MigrationError::TooFewApplied { requested: count, applied: plan.len() });
            }
            Ok(plan.into_iter().take(count).collect())
        };
        self.run(client, Direction::Down, plan, progress).await
    }

    /// Plans and works under the lock: what another runner did meanwhile is seen.
    async fn run(
        &self,
        client: &mut Client,
        direction: Direction,
        plan: impl FnOnce(&State) -> Result<Vec<&'m Migration>, MigrationError> + Send,
        mut progress: impl FnMut(Progress<'_>) + Send,
    ) -> Result<Vec<Applied>, MigrationError> {
        let wait = Wait { limit: self.options.lock_wait, poll: self.options.lock_poll };
        let mut lock = Lock::acquire(client, wait, &mut progress).await?;
        let done = self.run_locked(lock.client(), direction, plan, &mut progress).await;
        lock.release().await;
        done
    }

    async fn run_locked(
        &self,
        client: &mut Client,
        direction: Direction,
        plan: impl FnOnce(&State) -> Result<Vec<&'m Migration>, MigrationError> + Send,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Vec<Applied>, MigrationError> {
        state::ensure(client).await?;
        let Found::Readable(state) = state::read(client).await? else {
            return Err(MigrationError::Unreadable);
        };
        refuse::check(&state, self.migrations)?;
        let mut from = state.current;
        let mut done = Vec::new();
        for migration in plan(&state)? {
            let step = Step { migration, direction, from };
            let file = migration.file(direction);
            progress(Progress::Started { file: &file });
            let duration = self.persist(client, &step, progress).await?;
            from = step.to();
            tracing::debug!(%file, ?duration, "migrated");
            let applied =
                Applied { version: migration.version(), name: migration.name().to_owned(), direction, duration };
            progress(Progress::Finished(&applied));
            done.push(applied);
        }
        Ok(done)
    }

    /// Runs a step until it gets the locks that it needs. A migration that waits for a lock has every call behind it
    /// that wants the same table, so it waits briefly, gives way, and comes again.
    async fn persist(
        &self,
        client: &mut Client,
        step: &Step<'_>,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Duration, MigrationError> {
        let (begun, mut pause, mut tries) = (Instant::now(), FIRST_PAUSE, 0_u32);
        loop {
            tries = tries.saturating_add(1);
            let failure = match step.run(client, &self.options, self.wait_of(tries)).await {
                Err(MigrationError::Statement(failure)) if failure.is_for_want_of_a_lock() => failure,
                done => return done,
            };
            if begun.elapsed() + pause > self.options.lock_patience {
                return Err(MigrationError::Locked { failure, tries, waited: begun.elapsed() });
            }
            if tries == 1 {
                progress(Progress::Yielding { file: &failure.file });
            }
            tracing::debug!(%failure, tries, pause_ms = pause.as_millis(), "the migration gives way and is tried again");
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Now and then a try of an administrator who may not shorten `deadlock_timeout` waits past it: only then does PostgreSQL end
    /// an autovacuum that is in the way.
    fn wait_of(&self, tries: u32) -> Duration {
        let own = self.options.lock_timeout;
        if tries.is_multiple_of(5) && !own.is_zero() { own.max(PAST_DEADLOCK_TIMEOUT) } else { own }
    }
}
