//! Up and down.

use std::time::Duration;

use serde::Serialize;
use tokio_postgres::Client;

use super::error::{LockHolder, MigrationError};
use super::files::{Migration, Migrations};
use super::lock::{Lock, Wait};
use super::name::Direction;
use super::refuse;
use super::state::{self, Found, State};
use super::step::Step;

/// How to run migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// What the migrations read as `bailiwick.embedding_dimensions`; none leaves their default.
    pub embedding_dimensions: Option<u16>,
    /// How long to wait for another runner; 60 seconds by default.
    pub lock_wait: Duration,
    /// How often to ask for the lock meanwhile; four times a second by default.
    pub lock_poll: Duration,
    /// How long a statement waits for a lock on a table (zero: for ever); 10 seconds by default, for
    /// whoever queues behind the waiting migration waits as long.
    pub lock_timeout: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            embedding_dimensions: None,
            lock_wait: Duration::from_secs(60),
            lock_poll: Duration::from_millis(250),
            lock_timeout: Duration::from_secs(10),
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
            let duration = step.run(client, &self.options).await?;
            from = step.to();
            tracing::debug!(%file, ?duration, "migrated");
            let applied =
                Applied { version: migration.version(), name: migration.name().to_owned(), direction, duration };
            progress(Progress::Finished(&applied));
            done.push(applied);
        }
        Ok(done)
    }
}
