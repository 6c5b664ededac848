//! A connection of the pool while it is somebody's.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Statement};

use super::endpoint::Endpoint;
use super::pool::Opener;
use super::{DbError, Parameter};

/// A place in the pool, and who is in it.
type Object = deadpool::managed::Object<Opener>;

/// A connection that goes back to the pool when it is dropped; nothing outside `db` can have one.
pub(super) struct Connection {
    object: Object,
    endpoint: Arc<Endpoint>,
}

/// A statement that is known to the server, or whose parameters' types are known to us.
pub(super) enum Prepared {
    /// Parsed and kept by the session.
    Named(Statement),
    /// Parsed at each run: a pooler lends another session to each transaction, and not every one carries statements along.
    Typed(&'static str, Arc<[Type]>),
}

impl Connection {
    pub(super) fn new(object: Object, endpoint: Arc<Endpoint>) -> Self {
        Self { object, endpoint }
    }

    /// Whether a pooler lends it by the transaction.
    pub(super) fn is_pooled(&self) -> bool {
        self.endpoint.is_pooled()
    }

    /// Makes a statement ready to run.
    pub(super) async fn prepare_cached(&self, sql: &'static str) -> Result<Prepared, DbError> {
        Ok(match self.endpoint.around() {
            None => Prepared::Named(self.object.prepare_cached(sql).await?),
            Some(direct) => Prepared::Typed(sql, Box::pin(direct.types.of(sql)).await?),
        })
    }

    /// Runs it. The first poll puts it on the wire, whole.
    pub(super) async fn query(&self, prepared: &Prepared, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        Ok(match prepared {
            Prepared::Named(statement) => self.object.query(statement, parameters).await?,
            Prepared::Typed(sql, types) => {
                let parameters: Vec<_> = parameters.iter().copied().zip(types.iter().cloned()).collect();
                // Rare, and it would make every call's future large.
                Box::pin(self.object.query_typed(sql, &parameters)).await?
            }
        })
    }

    /// Runs it, for at most one row.
    pub(super) async fn query_opt(
        &self,
        prepared: &Prepared,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, DbError> {
        let mut rows = self.query(prepared, parameters).await?;
        match (rows.pop(), rows.is_empty()) {
            (row, true) => Ok(row),
            _ => Err(DbError::Other("more than one row".to_owned())),
        }
    }

    /// Runs it, for exactly one row.
    pub(super) async fn query_one(&self, prepared: &Prepared, parameters: &[Parameter<'_>]) -> Result<Row, DbError> {
        let row = self.query_opt(prepared, parameters).await?;
        row.ok_or_else(|| DbError::Other("an empty answer".to_owned()))
    }

    /// Stops its statement and closes it.
    ///
    /// The cancel request names a backend, not a statement, so nobody may use the connection any more. Its place in the pool is
    /// given back only then: a flood of cancelled calls must not open connections without bound.
    ///
    /// A pooler is asked nothing, it is hung up on: it then hangs up on the server, which looks for that (`client_connection_check_interval`).
    /// PgBouncer 1.18.0, which Debian 12 has, ends itself with all that it serves when a request's connection closes too soon.
    pub(super) fn discard(self) {
        if self.is_pooled() {
            return self.close();
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.close();
        };
        runtime.spawn(async move {
            let _ = tokio::time::timeout(LONGEST_STOP, self.stop()).await;
            self.close();
        });
    }

    /// Takes it out of the pool.
    pub(super) fn close(self) {
        drop(Object::take(self.object));
    }

    /// Asks until the server answers an empty statement behind all others: a request that overtakes its statement stops nothing.
    #[expect(clippy::disallowed_methods, reason = "an empty statement, on a connection that nobody else will use")]
    async fn stop(&self) {
        let token = self.object.cancel_token();
        let mut heeded = std::pin::pin!(self.object.batch_execute(""));
        loop {
            let asked = async {
                let _ = token.cancel_query(self.endpoint.tls().clone()).await;
                tokio::time::sleep(HEED).await;
            };
            tokio::select! {
                // It may have been the one that was stopped; then nothing runs any more either.
                _ = &mut heeded => return,
                () = asked => {}
            }
        }
    }
}

/// How long a statement is asked to stop. Its own time-out ends it at the latest.
const LONGEST_STOP: Duration = Duration::from_secs(2);
/// How long it may take to heed a request.
const HEED: Duration = Duration::from_millis(30);

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.object
    }
}
