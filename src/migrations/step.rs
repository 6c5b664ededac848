//! One migration, in one direction, in one transaction with the record of it.

#![expect(clippy::disallowed_methods, reason = "a migration runs as administrator, on a connection of its own")]

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Error, SimpleQueryMessage, Transaction};

use super::error::MigrationError;
use super::failure::FailedStatement;
use super::files::Migration;
use super::name::Direction;
use super::runner::RunOptions;

const BEGIN: &str = include_str!("../../sql/migrate/begin_step.sql");
const SAME_TRANSACTION: &str = include_str!("../../sql/migrate/same_transaction.sql");
const RECORD_APPLIED: &str = include_str!("../../sql/migrate/record_applied.sql");
const FORGET_APPLIED: &str = include_str!("../../sql/migrate/forget_applied.sql");
const MOVE_VERSION: &str = include_str!("../../sql/migrate/move_version.sql");

/// A migration to run.
#[derive(Clone, Copy)]
pub(super) struct Step<'m> {
    pub(super) migration: &'m Migration,
    pub(super) direction: Direction,
    /// The version before the step.
    pub(super) from: Option<i64>,
}

impl Step<'_> {
    /// The version that it leads to.
    pub(super) fn to(&self) -> Option<i64> {
        let version = self.migration.version();
        match self.direction {
            Direction::Up => Some(version),
            Direction::Down => Some(version - 1).filter(|below| *below > 0),
        }
    }

    /// Runs it. On any failure the transaction's guard rolls everything back.
    ///
    /// `past_deadlock_timeout`: how long it waits for a lock as an administrator who may not shorten `deadlock_timeout`.
    pub(super) async fn run(
        &self,
        client: &mut Client,
        options: &RunOptions,
        past_deadlock_timeout: Duration,
    ) -> Result<Duration, MigrationError> {
        let start = Instant::now();
        let tx = client.transaction().await.map_err(self.own())?;
        let id = begin(&tx, options, past_deadlock_timeout).await.map_err(self.own())?;
        self.execute(&tx).await?;
        // The migration may have gone on as the owner of the schema; the records are the admin's.
        tx.batch_execute("RESET ROLE").await.map_err(self.own())?;
        if !is_same(&tx, &id).await.map_err(self.own())? {
            let file = self.file();
            return Err(MigrationError::EndedTransaction { file });
        }
        let duration = start.elapsed();
        self.record(&tx, duration).await.map_err(self.own())?;
        // A deferred constraint fails only here, after all statements.
        tx.commit().await.map_err(|error| self.failed(None, error))?;
        Ok(duration)
    }

    async fn execute(&self, tx: &Transaction<'_>) -> Result<(), MigrationError> {
        let sql = self.migration.sql(self.direction);
        let mut completed = 0;
        let failed = |completed| move |error| self.failed(Some(completed), error);
        let messages = tx.client().simple_query_raw(sql).await;
        let mut messages = pin!(messages.map_err(failed(0))?);
        while let Some(message) = messages.try_next().await.map_err(failed(completed))? {
            completed += usize::from(matches!(message, SimpleQueryMessage::CommandComplete(_)));
        }
        Ok(())
    }

    async fn record(&self, tx: &Transaction<'_>, duration: Duration) -> Result<(), Error> {
        let to = self.to();
        tx.execute(FORGET_APPLIED, &[&to]).await?;
        if self.direction == Direction::Up {
            let milliseconds = i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
            let migration = self.migration;
            let version = migration.version();
            tx.execute(RECORD_APPLIED, &[&version, &migration.name(), &migration.checksum(), &milliseconds]).await?;
        }
        tx.execute(MOVE_VERSION, &[&to]).await?;
        Ok(())
    }

    fn file(&self) -> String {
        self.migration.file(self.direction)
    }

    /// A statement of the file failed, after `completed` others; or the connection did.
    fn failed(&self, completed: Option<usize>, error: Error) -> MigrationError {
        let sql = self.migration.sql(self.direction);
        match error.as_db_error() {
            Some(told) if !is_shutdown(told.code().code()) => {
                let file = self.file();
                let failure = FailedStatement::new(file, sql, completed, self.from, told);
                MigrationError::Statement(Box::new(failure))
            }
            _ => self.lost(error),
        }
    }

    /// A statement of the runner failed.
    fn own(&self) -> impl FnOnce(Error) -> MigrationError {
        move |error| match error.as_db_error() {
            Some(told) if !is_shutdown(told.code().code()) => {
                MigrationError::database("prepare or record a migration")(error)
            }
            _ => self.lost(error),
        }
    }

    fn lost(&self, source: Error) -> MigrationError {
        let file = self.file();
        MigrationError::Interrupted { file, source }
    }
}

/// Terminated by an administrator, a crash, or an idle limit: the server's last words, no mistake
/// of the statement that met them.
fn is_shutdown(sqlstate: &str) -> bool {
    matches!(sqlstate, "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04")
}

async fn begin(tx: &Transaction<'_>, options: &RunOptions, past_deadlock_timeout: Duration) -> Result<String, Error> {
    let [lock_timeout, past] =
        [options.lock_timeout, past_deadlock_timeout].map(|wait| format!("{}ms", wait.as_millis()));
    let dimensions = options.embedding_dimensions.map(|count| count.to_string());
    let row = tx.query_one(BEGIN, &[&lock_timeout, &dimensions, &past]).await?;
    row.try_get("transaction")
}

async fn is_same(tx: &Transaction<'_>, id: &str) -> Result<bool, Error> {
    tx.query_one(SAME_TRANSACTION, &[&id]).await?.try_get("same")
}
