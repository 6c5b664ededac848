//! The worker that embeds what was stored without a vector, beside any number of others.
//!
//! A document is claimed for a while (`claims`), its passages are embedded with no transaction open, and each batch is stored
//! by one call of its own (`batch`): one row in the trail, one in the ledger. A server that dies leaves a claim, which runs out.

mod batch;
mod claims;
mod rounds;

use std::time::Duration;

use tokio::task::JoinHandle;

pub(super) use rounds::caller;
pub use rounds::{Done, Stopped, Work};

use super::Embeddings;
use crate::call::Calls;
use crate::db::{Endpoint, Listener};

/// What a transaction notifies that stores a tenant's first document without an embedding.
const LISTEN: &str = "LISTEN bailiwick_embedding";
/// Between two looks, should no notification come.
const POLL: Duration = Duration::from_secs(2);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Between two looks whether documents are embedded with this server's model again.
const FOREIGN: Duration = Duration::from_secs(60);

/// A running worker, which ends when this is dropped. What it was embedding is taken up by another.
pub struct Worker(JoinHandle<()>);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Worker {
    /// Embeds whatever waits, until it is dropped or the calls are closed. `None` if there is no embedder.
    #[must_use]
    pub fn start(calls: &Calls, embeddings: &Embeddings, endpoint: impl Into<Endpoint>) -> Option<Self> {
        let work = Work::new(calls.clone(), embeddings.clone())?;
        let (calls, endpoint): (_, Endpoint) = (calls.clone(), endpoint.into());
        Some(Self(tokio::spawn(async move {
            tokio::select! {
                () = run(work, Listener::start(endpoint, LISTEN)) => {}
                () = calls.closing() => {}
            }
        })))
    }
}

async fn run(work: Work, mut listener: Listener) {
    let mut pause = PAUSE;
    loop {
        // What comes while it works is found by its next look, or by the notification that is kept.
        let worked = work.everything(|_| ()).await;
        work.note_foreign(matches!(worked, Err(Stopped::Foreign)));
        let rest = match worked {
            Ok(done) => {
                pause = PAUSE;
                if done.documents > 0 {
                    tracing::info!(
                        documents = done.documents,
                        passages = done.passages,
                        tokens = done.tokens,
                        "embedded"
                    );
                }
                POLL
            }
            Err(Stopped::Foreign) => FOREIGN,
            Err(Stopped::Failed(error)) => {
                tracing::warn!(error, retry_s = pause.as_secs(), "documents wait to be embedded");
                let rest = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                // A notification would only make it fail again.
                tokio::time::sleep(rest).await;
                continue;
            }
        };
        drop(tokio::time::timeout(rest, listener.notified()).await);
    }
}
