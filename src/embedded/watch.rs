//! Bringing the server back when it has died under its participants.

use std::time::Duration;

use super::server::{Liveness, probe};
use super::{EmbeddedServer, Options};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl EmbeddedServer {
    /// Looks after the server until the handle is aborted: one that was killed is started again, by whichever participant
    /// comes first.
    #[must_use]
    pub fn watch(&self, options: Options) -> tokio::task::JoinHandle<()> {
        let layout = self.layout.clone();
        tokio::spawn(async move {
            // Holds on to the one that was started here.
            let mut _revived = None;
            let mut was_dead = false;
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let is_dead = !matches!(probe(&layout).await, Ok(Liveness::Live));
                // Twice: it may be starting, or busy.
                if is_dead && was_dead {
                    tracing::error!("PostgreSQL is gone; it is started again");
                    match Self::start(options.clone()).await {
                        Ok(server) => _revived = Some(server),
                        Err(error) => {
                            tracing::error!(error = %super::explain(&error), "PostgreSQL could not be started again");
                        }
                    }
                }
                was_dead = is_dead;
            }
        })
    }
}
