use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, QueueMode, RecyclingMethod, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};

use super::connection::Connection;
use super::{DbError, Endpoint};

/// How many connections there may be and how long to wait for one.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Upper bound of open connections.
    pub size: usize,
    /// Longest wait for a free connection.
    pub wait: Duration,
    /// Longest time to open a new one.
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
    connections: deadpool_postgres::Pool,
    endpoint: Arc<Endpoint>,
}

/// Opens the pool's connections.
struct Opener {
    endpoint: Arc<Endpoint>,
    patience: Duration,
}

impl Connect for Opener {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async move {
            let (client, connection) = self.endpoint.connect("bailiwick", self.patience).await?;
            let driving = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection of the pool ended");
                }
            });
            Ok((client, driving))
        })
    }
}

impl Pool {
    /// Builds the pool; the first connection is opened when it is first needed.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the options make no valid pool.
    pub fn new(endpoint: impl Into<Endpoint>, options: &PoolOptions) -> Result<Self, DbError> {
        let mut endpoint: Endpoint = endpoint.into();
        endpoint.keep_alive(Duration::from_secs(30), Duration::from_secs(10), Duration::from_secs(30));
        let (endpoint, patience) = (Arc::new(endpoint), options.create);
        // `Fast` only asks whether the socket is open. That is enough here, for a connection whose transaction did not
        // end cleanly never comes back to the pool (see `TenantTransaction`).
        let opener = Opener { endpoint: Arc::clone(&endpoint), patience };
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(Config::clone(&endpoint), opener, fast);
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(options.size)
            // The connection that was used last has its plans, catalog and index pages at hand in the processor's cache;
            // taking turns would keep all of them cold.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.create * endpoint.host_count()))
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
