use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use futures_util::future::maybe_done;
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::Row;

use super::connection::Connection;
use super::context::{self, ContextStatements, Deadlines, TenantState};
use super::intent::{self, Intent, OPEN_INTENT};
use super::replica::moment::{self, MOMENT, Moment};
use super::{Aside, DbError, Parameter, Pool, PoolStatus};
use crate::identity::Caller;

/// The one way to a tenant's rows.
#[derive(Clone)]
pub struct Door {
    pool: Pool,
    deadlines: Deadlines,
    is_replica: bool,
}

impl Door {
    /// A door over a pool of the application role.
    #[must_use]
    pub fn new(pool: Pool, deadlines: Deadlines) -> Self {
        Self { pool, deadlines, is_replica: false }
    }

    /// A door to a replica: its transactions only read, and begin by asking how far it has replayed.
    #[must_use]
    pub(super) fn on_replica(pool: Pool, deadlines: Deadlines) -> Self {
        Self { pool, deadlines, is_replica: true }
    }

    /// How its pool stands.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        self.pool.status()
    }

    /// Opens a transaction in the caller's context.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if no connection can be had in time.
    pub async fn open(&self, caller: &Caller) -> Result<TenantTransaction, DbError> {
        self.open_with(caller, None).await
    }

    /// Opens a transaction in the caller's context; with an intent, once that is committed.
    ///
    /// All that is sent but not waited for: it travels with the transaction's first statements. If any of it fails, the
    /// first statement (or the end of the transaction) says so, and nothing is seen or kept.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if no connection can be had in time.
    pub async fn open_with(&self, caller: &Caller, intent: Option<&Intent>) -> Result<TenantTransaction, DbError> {
        let connection = self.pool.connection().await?;
        self.begin_on(connection, caller, intent).await
    }

    /// Opens a transaction in the caller's context on the replica that this door leads to.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn open_there(&self, caller: &Caller) -> Result<TenantTransaction, Aside> {
        let opened = async {
            Ok(match self.pool.connection_if_free().await? {
                Some(connection) => Some(self.begin_on(connection, caller, None).await?),
                None => None,
            })
        };
        opened.await.map_err(|error: DbError| Aside::of(&error))?.ok_or(Aside::Busy)
    }

    async fn begin_on(
        &self,
        connection: Connection,
        caller: &Caller,
        intent: Option<&Intent>,
    ) -> Result<TenantTransaction, DbError> {
        let shared = Arc::new(connection);
        let mut transaction = TenantTransaction {
            connection: Some(Arc::clone(&shared)),
            prologue: Mutex::new(None),
            opened: OnceCell::new(),
            failure: OnceLock::new(),
        };
        // It is the transaction's from here on, and goes first: whoever gives up while statements are prepared gives no silent
        // connection back.
        let connection = shared;
        let statements = ContextStatements::prepare(&connection).await?;
        let intent = match intent {
            Some(intent) => Some((connection.prepare_cached(OPEN_INTENT).await?, intent.clone())),
            None => None,
        };
        let moment = match self.is_replica {
            true => Some(connection.prepare_cached(MOMENT).await?),
            false => None,
        };
        let (caller, deadlines, pool) = (caller.clone(), self.deadlines, self.pool.clone());
        let must_write = !self.is_replica;
        let mut prologue: Prologue = Box::pin(async move {
            let announced = async {
                match &intent {
                    Some((statement, intent)) => {
                        intent::announce(&connection, &statements, &caller, deadlines, statement, intent).await
                    }
                    None => Ok(()),
                }
            };
            let (announced, begun, tenant, moment) = tokio::join!(
                announced,
                async {
                    match moment {
                        Some(_) => moment::begin_reading(&connection).await,
                        None => begin(&connection).await,
                    }
                },
                context::establish(&connection, &statements, &caller, deadlines),
                async {
                    match &moment {
                        Some(statement) => moment::ask(&connection, statement).await,
                        None => Ok(None),
                    }
                },
            );
            announced?;
            begun?;
            let tenant = tenant?;
            if must_write && tenant.is_read_only {
                // Nothing could be kept. Nothing has begun yet, so another connection may be tried; the pool's others lead there, too.
                pool.forget_idle();
                return Err(DbError::Unavailable("the server is one that only reads".to_owned()));
            }
            Ok(Opened { tenant, moment: moment? })
        });
        // One poll puts all statements on the wire, in this order.
        match futures_util::poll!(&mut prologue) {
            std::task::Poll::Pending => *transaction.prologue.get_mut() = Some(prologue),
            std::task::Poll::Ready(opened) => transaction.opened = OnceCell::new_with(Some(Ok(opened?))),
        }
        Ok(transaction)
    }
}

#[expect(clippy::disallowed_methods, reason = "BEGIN belongs to the transaction guard")]
pub(super) async fn begin(connection: &Connection) -> Result<(), DbError> {
    // Whatever is set for the role: what a call reads before it writes must be what is there by then.
    Ok(connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?)
}

type Prologue = Pin<Box<dyn Future<Output = Result<Opened, DbError>> + Send>>;

/// How a transaction begins.
struct Opened {
    tenant: TenantState,
    moment: Option<Moment>,
}

/// A transaction in one tenant's context, on a connection of its own.
///
/// It ends by [`finish`](Self::finish) or [`abandon`](Self::abandon). Dropped before that (a deadline, a cancelled
/// call, a panic) it stops the running statement and throws the connection away: whatever state it was in, no later
/// call can meet it.
pub struct TenantTransaction {
    connection: Option<Arc<Connection>>,
    /// BEGIN and context, until somebody waits for them.
    prologue: Mutex<Option<Prologue>>,
    /// What came of it; kept, so that whoever asks again learns the reason and not only that there was one.
    opened: OnceCell<Result<Opened, DbError>>,
    /// The first error of any statement: nothing is kept then.
    failure: OnceLock<DbError>,
}

impl TenantTransaction {
    /// The tenant's status and settings, as this transaction sees them.
    ///
    /// # Errors
    /// Whatever kept the context from being established.
    pub async fn tenant(&self) -> Result<&TenantState, DbError> {
        Ok(&self.opened().await?.tenant)
    }

    /// How far a replica had replayed before anything was read; `None` on the primary, and where it has been promoted.
    pub(super) async fn moment(&self) -> Result<Option<Moment>, DbError> {
        Ok(self.opened().await?.moment)
    }

    /// The first error of any of its statements.
    #[must_use]
    pub fn failure(&self) -> Option<&DbError> {
        self.failure.get()
    }

    fn note(&self, error: &DbError) {
        // Only the first tells why: those after it may say no more than that there was one.
        let _ = self.failure.set(error.clone());
    }

    async fn opened(&self) -> Result<&Opened, DbError> {
        let opened = self.opened.get_or_init(|| async {
            match self.prologue.lock().await.take() {
                Some(prologue) => prologue.await,
                // A wait that was cut short took the answer with it.
                None => Err(DbError::TransactionFailed),
            }
        });
        let opened = opened.await.as_ref().map_err(Clone::clone);
        opened.inspect_err(|error| self.note(error))
    }

    /// Runs a statement of ours and returns its rows. `sql` is static: text that was put together does not compile.
    ///
    /// # Errors
    /// Whatever the database says; the transaction can then only be abandoned.
    pub async fn query(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        let result = async {
            let connection = self.connection()?;
            let statement = connection.prepare_cached(sql).await?;
            let (tenant, rows) = tokio::join!(self.tenant(), connection.query(&statement, parameters));
            tenant?;
            rows
        };
        result.await.inspect_err(|error| self.note(error))
    }

    /// Like [`query`](Self::query), but planned anew for these very parameters: for a statement whose right plan hangs on
    /// the tenant. A plan that the session keeps would carry one tenant's choice of index and partition to another.
    ///
    /// # Errors
    /// As `query`.
    pub async fn query_planned(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        let result = async {
            let connection = self.connection()?;
            let (own, statement, generic) = tokio::try_join!(
                connection.prepare_cached("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"),
                connection.prepare_cached(sql),
                connection.prepare_cached("SELECT set_config('plan_cache_mode', 'force_generic_plan', true)"),
            )?;
            // All in one flush, in this order.
            let (tenant, before, rows, after) = tokio::join!(
                self.tenant(),
                connection.query(&own, &[]),
                connection.query(&statement, parameters),
                connection.query(&generic, &[]),
            );
            tenant?;
            before?;
            let rows = rows?;
            after?;
            Ok(rows)
        };
        result.await.inspect_err(|error| self.note(error))
    }

    /// Like [`query`](Self::query), for a statement that returns exactly one row.
    ///
    /// # Errors
    /// As `query`, and [`DbError::Other`] for any other number of rows.
    pub async fn query_one(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Row, DbError> {
        let mut rows = self.query(sql, parameters).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => {
                let error = DbError::Other(format!("not exactly one row from {}", first_line(sql)));
                self.note(&error);
                Err(error)
            }
        }
    }

    /// Runs a last statement that returns one row, and commits if and only if it succeeded.
    ///
    /// COMMIT travels behind it in the same flush. That is safe although tokio-postgres calls a COMMIT that the server
    /// turned into ROLLBACK a success: the statement's own row is read to its end first, and COMMIT is sent only once
    /// the statement is on the wire (a parameter that cannot be encoded never gets there).
    ///
    /// # Errors
    /// Whatever the last statement or the commit says. Nothing is kept then, unless the connection broke after COMMIT
    /// was sent.
    pub async fn finish(self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Row, DbError> {
        Ok(self.finish_behind(None, sql, parameters).await?.1)
    }

    /// Like [`finish`](Self::finish), with another statement before the last one in the same flush, whose rows are returned, too.
    ///
    /// # Errors
    /// As `finish`, or whatever the other statement says.
    pub async fn finish_behind(
        self,
        before: Option<(&'static str, &[Parameter<'_>])>,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<(Vec<Row>, Row), DbError> {
        self.tenant().await?;
        if self.failure().is_some() {
            return Err(DbError::TransactionFailed);
        }
        let answered = {
            let connection = self.connection()?;
            let statement = connection.prepare_cached(sql).await?;
            let before = match before {
                Some((sql, parameters)) => Some((connection.prepare_cached(sql).await?, parameters)),
                None => None,
            };
            let rows = maybe_done(async {
                match &before {
                    Some((statement, parameters)) => connection.query(statement, parameters).await,
                    None => Ok(Vec::new()),
                }
            });
            let last = maybe_done(connection.query_one(&statement, parameters));
            let (mut rows, mut last) = (std::pin::pin!(rows), std::pin::pin!(last));
            // Now both are on the wire, or known never to get there: COMMIT goes only behind the two.
            let _ = futures_util::poll!(&mut rows);
            let _ = futures_util::poll!(&mut last);
            let never_sent = [
                matches!(rows.as_mut().output_mut(), Some(Err(_))),
                matches!(last.as_mut().output_mut(), Some(Err(_))),
            ];
            let committed = match never_sent {
                [false, false] => tokio::join!(&mut rows, &mut last, commit(connection)).2,
                _ => Err(DbError::TransactionFailed),
            };
            match (rows.take_output(), last.take_output()) {
                (Some(Err(error)), _) | (_, Some(Err(error))) => return Err(error),
                (Some(Ok(rows)), Some(Ok(row))) => committed.map(|()| (rows, row))?,
                _ => return Err(DbError::TransactionFailed),
            }
        };
        self.release();
        Ok(answered)
    }

    /// Rolls back and gives the connection back if it is in order; otherwise drops it. One whose server cannot be written to, or
    /// is going, is not kept for the next to meet: a new one may find its successor.
    pub async fn abandon(self) {
        let rolled_back = async {
            // The prologue's answers must be read before the connection is anybody else's.
            if let Some(prologue) = self.prologue.lock().await.take() {
                let _ = prologue.await;
            }
            rollback(self.connection()?).await
        };
        if rolled_back.await.is_ok() && !matches!(self.failure.get(), Some(DbError::Unavailable(_))) {
            self.release();
        }
    }

    fn connection(&self) -> Result<&Connection, DbError> {
        self.connection.as_deref().ok_or(DbError::TransactionFailed)
    }

    /// Returns the connection to the pool: only after a clean end.
    fn release(mut self) {
        self.connection.take();
    }
}

#[expect(clippy::disallowed_methods, reason = "COMMIT belongs to the transaction guard")]
pub(super) async fn commit(connection: &Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("COMMIT").await?)
}

#[expect(clippy::disallowed_methods, reason = "ROLLBACK belongs to the transaction guard")]
async fn rollback(connection: &Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("ROLLBACK").await?)
}

impl Drop for TenantTransaction {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // The prologue holds the other reference.
        *self.prologue.get_mut() = None;
        let Some(connection) = Arc::into_inner(connection) else {
            return;
        };
        connection.discard();
    }
}

fn first_line(sql: &str) -> &str {
    sql.lines().next().unwrap_or_default()
}
