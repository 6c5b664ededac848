//! The lock by which other servers know that this one lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{DbError, Endpoint, Parameter, sessions};

/// A lease: an advisory lock on a connection of its own, held as long as this process (and that connection) lives.
///
/// Intents carry its key. A reaper that can take the lock knows that nobody will close them. A lease that was lost with
/// its connection is replaced by one of another key: what was begun under the old one may be reaped, and then fails when it ends.
#[derive(Clone)]
pub struct Lease {
    /// The way on which a session lasts.
    endpoint: Endpoint,
    /// The pooler that it goes around: calls go through there, and the lock must be where they are.
    pooler: Option<Endpoint>,
    held: Arc<Mutex<Hold>>,
}

#[derive(Default)]
struct Hold {
    lease: Option<Held>,
    /// When it could not be taken: those who waited for that try need not each wait for one of their own.
    failed_at: Option<Instant>,
}

struct Held {
    key: i64,
    client: Client,
}

const TAKE_LEASE: &str = include_str!("../../sql/queries/system/take_lease.sql");

/// After a try in vain.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest wait for a host's connection, and for the lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest wait for the pooler to lead to the lock: calls may have all its connections for a moment.
const LONGEST_LOOK: Duration = Duration::from_secs(4);

impl Lease {
    /// A lease that is taken when it is first needed. A pooler is gone around: the lock must be of one session.
    #[must_use]
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        let endpoint: Endpoint = endpoint.into();
        let pooler = endpoint.is_pooled().then(|| endpoint.clone());
        let mut endpoint = endpoint.direct().clone();
        endpoint.keep_alive(Duration::from_secs(10), Duration::from_secs(5), Duration::from_secs(20));
        Self { endpoint, pooler, held: Arc::default() }
    }

    /// The key of the lock that is held now, taken anew if there is none.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the database cannot be reached in time.
    pub async fn key(&self) -> Result<i64, DbError> {
        let mut held = self.held.lock().await;
        if let Some(lease) = held.lease.as_ref().filter(|lease| !lease.client.is_closed()) {
            return Ok(lease.key);
        }
        if held.failed_at.is_some_and(|failed_at| failed_at.elapsed() < PAUSE) {
            return Err(DbError::Unavailable("no lease could be taken a moment ago".to_owned()));
        }
        let taken = self.take().await;
        held.failed_at = taken.is_err().then(Instant::now);
        let lease = taken?;
        let key = lease.key;
        held.lease = Some(lease);
        Ok(key)
    }

    /// Gives the lease up, unless it is being taken just now: another key is taken when one is needed.
    pub fn renew(&self) {
        if let Ok(mut held) = self.held.try_lock() {
            held.lease = None;
        }
    }

    /// On a server that takes writes, and on that of the calls: elsewhere the lock would be nothing to those who look whether it is
    /// held, and they would close calls that are under way.
    async fn take(&self) -> Result<Held, DbError> {
        let (client, connection) = self.endpoint.connect("bailiwick-lease", PATIENCE).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the lease's connection ended");
            }
        });
        // Random, so that no key is ever held twice.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        let key = i64::from_ne_bytes((high ^ low).to_ne_bytes());
        let lock: [Parameter<'_>; 1] = [&key];
        let locked = tokio::time::timeout(PATIENCE, client.query_one(TAKE_LEASE, &lock)).await;
        let locked = locked.map_err(|_| DbError::Unavailable("no lease could be taken in time".to_owned()))??;
        if locked.try_get("is_read_only")? {
            return Err(DbError::Unavailable("the lease's server is one that only reads".to_owned()));
        }
        if let Some(pooler) = &self.pooler {
            let seen = tokio::time::timeout(LONGEST_LOOK, sessions::is_locked(pooler, key)).await;
            if !seen.map_err(|_| DbError::Unavailable("the pooler does not answer in time".to_owned()))?? {
                return Err(DbError::Unavailable(
                    "the way around the pooler leads to another database than the way through it".to_owned(),
                ));
            }
        }
        Ok(Held { key, client })
    }
}
