//! Looks at primary and replica by turns.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{History, ReplicaOptions};
use crate::db::{DbError, Endpoint, Pool, PoolOptions, Sessions, System, sessions_soon};

/// So often is looked within the longest lag that is allowed.
const LOOKS: u32 = 10;
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks while it cannot be used: each takes new connections.
const LONGEST_AWAY: Duration = Duration::from_secs(2);
/// A replica that is a little behind is asked once more, so often and with such pauses: it tells more when it has come up.
const PATIENCE: u32 = 6;
const BETWEEN: Duration = Duration::from_millis(5);

pub(super) struct Watch {
    primary: System,
    replica: System,
    endpoint: Endpoint,
    pub history: Arc<Mutex<History>>,
    max_lag: Duration,
    /// Whether it was usable when it was looked at last.
    was_usable: bool,
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// It has what it must have.
    Fresh,
    /// It may be older than is allowed.
    Lagging,
    /// It cannot be asked, or must not be.
    Unusable(String),
}

impl Watch {
    /// On connections of its own: neither calls nor the trail nor searches must make the replica look old.
    pub fn over(primary: &Endpoint, options: &ReplicaOptions, pool: &PoolOptions) -> Result<Self, DbError> {
        let one = PoolOptions { size: 1, ..pool.clone() };
        Ok(Self {
            primary: System::new(Pool::new(primary, &one)?),
            replica: System::new(Pool::new(&options.endpoint, &one)?),
            endpoint: options.endpoint.clone(),
            history: Arc::new(Mutex::new(History::new(options.max_lag))),
            max_lag: options.max_lag,
            was_usable: false,
        })
    }

    /// Between two looks.
    pub fn pause(&self) -> Duration {
        (self.max_lag / LOOKS).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    /// Until it is aborted; `searches` are the connections to the replica that it decides on.
    pub async fn run(mut self, searches: Pool) {
        let mut pause = self.pause();
        let mut last = None;
        loop {
            let sight = self.look().await.unwrap_or_else(|error| Sight::Unusable(error.to_string()));
            pause = match sight {
                Sight::Fresh | Sight::Lagging => self.pause(),
                Sight::Unusable(_) => {
                    self.with(History::note_away);
                    // Of several hosts another may have become the replica.
                    self.replica.forget_idle();
                    searches.forget_idle();
                    (pause * 2).min(LONGEST_AWAY)
                }
            };
            tell(last.as_ref(), &sight, self.max_lag);
            last = Some(sight);
            tokio::time::sleep(pause).await;
        }
    }

    /// Looks once.
    pub async fn look(&mut self) -> Result<Sight, DbError> {
        let sight = self.look_at(self.was_usable).await;
        self.was_usable = matches!(sight, Ok(Sight::Fresh | Sight::Lagging));
        sight
    }

    /// Whether the replica may be used at all is asked where it was not before.
    async fn look_at(&self, was_usable: bool) -> Result<Sight, DbError> {
        let asked = Instant::now();
        let head = self.primary.log_head().await?;
        let mut standing = self.replica.replica_standing().await?;
        for _ in 0..PATIENCE {
            if standing.place.is_none_or(|place| place >= head.place) {
                break;
            }
            tokio::time::sleep(BETWEEN).await;
            standing = self.replica.replica_standing().await?;
        }
        let place = match standing.place {
            Some(place) if standing.is_replaying => place,
            _ => return Ok(Sight::Unusable("it replays nobody's log: it is no replica, or was promoted".to_owned())),
        };
        if standing.origin != head.origin {
            return Ok(Sight::Unusable(
                "it follows another server's log, or another timeline of it, or is another database".to_owned(),
            ));
        }
        if !was_usable {
            let faults = self.replica.role_faults().await?;
            if !faults.is_empty() {
                return Ok(Sight::Unusable(format!(
                    "row-level security would not bind us there: {}",
                    faults.join("; ")
                )));
            }
            if sessions_soon(&self.endpoint).await? == Sessions::Lent {
                return Ok(Sight::Unusable(
                    "it stands behind a pooler in transaction mode, where nothing that is prepared lasts".to_owned(),
                ));
            }
            // That took its time: how old the replica is, is asked anew.
            return Box::pin(self.look_at(true)).await;
        }
        let lag = self.with(|history| {
            history.note_head(asked, head);
            history.note_replay(place);
            history.lag(Instant::now())
        });
        Ok(if lag.is_some_and(|lag| lag <= self.max_lag) { Sight::Fresh } else { Sight::Lagging })
    }

    fn with<T>(&self, act: impl FnOnce(&mut History) -> T) -> T {
        act(&mut self.history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A line for each change.
fn tell(last: Option<&Sight>, sight: &Sight, max_lag: Duration) {
    let max_lag_ms = u64::try_from(max_lag.as_millis()).unwrap_or(u64::MAX);
    match sight {
        Sight::Fresh if last != Some(sight) => tracing::info!("searches are read on the replica"),
        Sight::Lagging if last != Some(sight) => {
            tracing::warn!(max_lag_ms, "the replica lags behind: searches are read on the primary");
        }
        // One reason is as good as another until it is back.
        Sight::Unusable(reason) if !matches!(last, Some(Sight::Unusable(_))) => {
            tracing::warn!(%reason, "the replica cannot be used: searches are read on the primary");
        }
        _ => {}
    }
}
