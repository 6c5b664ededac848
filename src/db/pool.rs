use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType};
use deadpool_postgres::ClientWrapper;

use super::connection::Connection;
use super::{DbError, Endpoint, powers};

/// How many connections there may be and how long to wait for one.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Upper bound of open connections.
    pub size: usize,
    /// Longest wait for a free connection.
    pub wait: Duration,
    /// Longest time that a host has to take a new one, unless its configuration says (`connect_timeout`).
    pub create: Duration,
    /// Longest time to check one that comes back.
    pub recycle: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        // deadpool waits for ever unless told otherwise.
        Self { size: 8, wait: Duration::from_secs(1), create: Duration::from_secs(2), recycle: Duration::from_secs(1) }
    }
}

/// How a pool stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Open connections.
    pub open: usize,
    /// Of them, those that nobody uses.
    pub idle: usize,
    /// How many there may be.
    pub most: usize,
    /// Who waits for one.
    pub waiting: usize,
}

/// Connections of the application role. Cheap to clone; nothing outside `db` can take a connection from it.
#[derive(Clone)]
pub struct Pool {
    connections: deadpool::managed::Pool<Opener>,
    endpoint: Arc<Endpoint>,
}

/// Opens the pool's connections.
pub(super) struct Opener {
    endpoint: Arc<Endpoint>,
    patience: Duration,
    /// Whether a role must be bound by row-level security.
    is_bound: bool,
}

impl Manager for Opener {
    type Type = ClientWrapper;
    type Error = DbError;

    async fn create(&self) -> Result<ClientWrapper, DbError> {
        let (client, connection) = Box::pin(self.endpoint.connect("bailiwick", self.patience)).await?;
        let driving = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the pool ended");
            }
        });
        let client = ClientWrapper::new(client, driving);
        if self.is_bound {
            let faults = Box::pin(powers::faults_on(&client)).await?;
            if !faults.is_empty() {
                return Err(DbError::Other(faults.join("; ")));
            }
        }
        Ok(client)
    }

    /// That the socket is open is enough here, for a connection whose transaction did not end cleanly never comes back to the pool
    /// (see `TenantTransaction`).
    async fn recycle(&self, client: &mut ClientWrapper, _: &Metrics) -> RecycleResult<DbError> {
        match client.is_closed() {
            true => Err(RecycleError::message("the connection is closed")),
            false => Ok(()),
        }
    }
}

impl Pool {
    /// Builds the pool; the first connection is opened when it is first needed.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the options make no valid pool.
    pub fn new(endpoint: impl Into<Endpoint>, options: &PoolOptions) -> Result<Self, DbError> {
        Self::build(endpoint, options, false)
    }

    /// Like [`new`](Self::new), but each connection is used only if row-level security binds its role: one name may lead to several
    /// servers, or a pooler there may take another role.
    pub(super) fn of_bound_roles(endpoint: impl Into<Endpoint>, options: &PoolOptions) -> Result<Self, DbError> {
        Self::build(endpoint, options, true)
    }

    fn build(endpoint: impl Into<Endpoint>, options: &PoolOptions, is_bound: bool) -> Result<Self, DbError> {
        let mut endpoint: Endpoint = endpoint.into();
        endpoint.keep_alive(Duration::from_secs(30), Duration::from_secs(10), Duration::from_secs(30));
        let endpoint = Arc::new(endpoint);
        let opener = Opener { endpoint: Arc::clone(&endpoint), patience: options.create, is_bound };
        let connections = deadpool::managed::Pool::builder(opener)
            .max_size(options.size)
            // The connection that was used last has its plans, catalog and index pages at hand in the processor's cache;
            // taking turns would keep all of them cold.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(options.wait))
            // It ends by itself, and tells what each host said.
            .create_timeout(None)
            .recycle_timeout(Some(options.recycle))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| DbError::Unavailable(error.to_string()))?;
        Ok(Self { connections, endpoint })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that takes connections; callers are the two doors")]
    pub(super) async fn connection(&self) -> Result<Connection, DbError> {
        Ok(Connection::new(self.connections.get().await?, Arc::clone(&self.endpoint)))
    }

    /// The same, for whoever can do without; `None` if all are in use for as long as is waited.
    #[expect(clippy::disallowed_methods, reason = "as above")]
    pub(super) async fn connection_if_free(&self) -> Result<Option<Connection>, DbError> {
        match self.connections.get().await {
            Ok(object) => Ok(Some(Connection::new(object, Arc::clone(&self.endpoint)))),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the connections that nobody uses: their server is not fit any more.
    pub(super) fn forget_idle(&self) {
        self.connections.retain(|_, _| false);
    }

    /// How its connections are made.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let status = self.connections.status();
        PoolStatus { open: status.size, idle: status.available, most: status.max_size, waiting: status.waiting }
    }

    /// Closes the pool: idle connections end now, busy ones when their call does.
    pub fn close(&self) {
        self.connections.close();
    }
}
