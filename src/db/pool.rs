use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, QueueMode, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use super::DbError;

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
pub struct Pool(deadpool_postgres::Pool);

impl Pool {
    /// Builds the pool; the first connection is opened when it is first needed.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the options make no valid pool.
    pub fn new(mut config: tokio_postgres::Config, options: &PoolOptions) -> Result<Self, DbError> {
        config.application_name("bailiwick");
        config.connect_timeout(options.create);
        config.keepalives(true).keepalives_idle(Duration::from_secs(30)).keepalives_interval(Duration::from_secs(10));
        config.tcp_user_timeout(Duration::from_secs(30));
        // `Fast` only asks whether the socket is open. That is enough here, for a connection whose transaction did not
        // end cleanly never comes back to the pool (see `TenantTransaction`).
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        deadpool_postgres::Pool::builder(manager)
            .max_size(options.size)
            // The connection that was used last has its plans, catalog and index pages at hand in the processor's cache;
            // taking turns would keep all of them cold.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(options.create))
            .recycle_timeout(Some(options.recycle))
            .runtime(Runtime::Tokio1)
            .build()
            .map(Self)
            .map_err(|error| DbError::Unavailable(error.to_string()))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that takes connections; callers are the two doors")]
    pub(super) async fn connection(&self) -> Result<Object, DbError> {
        Ok(self.0.get().await?)
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let status = self.0.status();
        PoolStatus { open: status.size, idle: status.available, most: status.max_size, waiting: status.waiting }
    }

    /// Closes the pool: idle connections end now, busy ones when their call does.
    pub fn close(&self) {
        self.0.close();
    }
}
