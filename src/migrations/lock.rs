//! The session lock that keeps migration runners apart.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::error::{LockHolder, MigrationError};
use super::lock_key;
use super::runner::Progress;

const TRY_LOCK: &str = include_str!("../../sql/migrate/try_lock.sql");
const UNLOCK: &str = include_str!("../../sql/migrate/unlock.sql");
const HOLDER: &str = include_str!("../../sql/migrate/lock_holder.sql");

/// How long to wait for the lock, and how often to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) limit: Duration,
    pub(super) poll: Duration,
}

/// The connection while it holds the lock. Dropped unreleased (a cancelled future, a panic), it
/// still sends the unlock, behind whatever the connection is doing.
pub(super) struct Lock<'c> {
    client: &'c mut Client,
    key: i64,
    held: bool,
}

impl<'c> Lock<'c> {
    /// Polls until the lock is ours. Not `pg_advisory_lock` with a timeout: that would queue, and a
    /// waiting transaction holds back vacuum and index builds that the other runner may do.
    pub(super) async fn acquire(
        client: &'c mut Client,
        wait: Wait,
        progress: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<Self, MigrationError> {
        let key = key(client).await?;
        // Held from before the first try: should this future be dropped with the answer on its way.
        let mut lock = Self { client, key, held: true };
        let start = Instant::now();
        let mut told = false;
        while !lock.try_once().await? {
            let holder = holder(lock.client, key).await?;
            if start.elapsed() >= wait.limit {
                lock.held = false;
                let waited = wait.limit;
                return Err(MigrationError::LockWait { waited, holder });
            }
            if !told {
                progress(Progress::WaitingForLock { holder: holder.as_ref() });
                told = true;
            }
            sleep(wait.poll.min(wait.limit.saturating_sub(start.elapsed()))).await;
        }
        Ok(lock)
    }

    pub(super) fn client(&mut self) -> &mut Client {
        self.client
    }

    /// Gives the lock back. A failure is only logged: the connection is broken then, with which the
    /// lock goes anyway, and the outcome of the work says more.
    pub(super) async fn release(mut self) {
        self.held = false;
        let unlocked = self.client.query_typed(UNLOCK, &[(&self.key, Type::INT8)]).await;
        if let Err(error) = unlocked
            && !error.is_closed()
        {
            tracing::warn!(%error, "the migration lock could not be released; it goes with the connection");
        }
    }

    async fn try_once(&self) -> Result<bool, MigrationError> {
        let database = || MigrationError::database("take the migration lock");
        let row = self.client.query_one(TRY_LOCK, &[&self.key]).await;
        row.and_then(|row| row.try_get("locked")).map_err(database())
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if self.held {
            // The first poll hands the message to the connection's task; nobody waits for the answer.
            let key = self.key;
            let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&key, Type::INT8)];
            let unlock = pin!(self.client.query_typed(UNLOCK, &parameters));
            let _ = Future::poll(unlock, &mut Context::from_waker(Waker::noop()));
        }
    }
}

async fn key(client: &Client) -> Result<i64, MigrationError> {
    let row = client.query_one("SELECT current_database()::text", &[]).await;
    let name = row.and_then(|row| row.try_get::<_, String>(0));
    name.map(|name| lock_key::of_database(&name)).map_err(MigrationError::database("ask for the database's name"))
}

async fn holder(client: &Client, key: i64) -> Result<Option<LockHolder>, MigrationError> {
    let doing = "ask who holds the migration lock";
    let row = client.query_opt(HOLDER, &[&key]).await;
    let Some(row) = row.map_err(MigrationError::database(doing))? else {
        return Ok(None);
    };
    let read = || {
        let application: Option<String> = row.try_get("application_name")?;
        Ok(LockHolder {
            pid: row.try_get("pid")?,
            user: row.try_get("usename")?,
            application: application.filter(|name| !name.is_empty()),
            address: row.try_get("client_addr")?,
        })
    };
    read().map(Some).map_err(MigrationError::database(doing))
}
