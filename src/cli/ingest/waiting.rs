use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cli::{CommandError, progress};
use crate::embedding::backlog::Backlog;
use crate::identity::Caller;
use crate::ingest::Embedding;
use crate::startup::Service;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits until what a run has stored is embedded: by this process, whose worker runs all along, or by any server.
pub(super) struct Waiting {
    /// When the run began, by the database's clock.
    since: Timestamp,
    limit: Duration,
}

impl Waiting {
    /// Before the run.
    ///
    /// # Errors
    /// [`CommandError`] if nobody would ever embed what is stored.
    pub(super) async fn begin(service: &Service, caller: &Caller, limit: Duration) -> Result<Self, CommandError> {
        let since = service.calls().system().clock().await?;
        let backlog = Backlog::look(service.calls(), caller, since, since).await?;
        if service.embeddings().embedder().is_none() && !backlog.is_embedded {
            return Err("--wait: neither this program nor any server embeds the documents of this database. Set BAILIWICK_EMBEDDINGS_URL and \
                        BAILIWICK_EMBEDDINGS_MODEL, or leave --wait out: documents are found by words at once"
                .into());
        }
        Ok(Self { since, limit })
    }

    /// After it: what is embedded by now, or at the latest after the limit.
    pub(super) async fn end(&self, service: &Service, caller: &Caller) -> Result<Embedding, CommandError> {
        let started = Instant::now();
        let until = service.calls().system().clock().await?;
        let mut backlog = Backlog::look(service.calls(), caller, self.since, until).await?;
        let total = backlog.pending;
        let bar = progress::counter("documents embedded", Some(total));
        while backlog.pending > 0 && started.elapsed() < self.limit {
            tokio::time::sleep(PAUSE).await;
            match Backlog::look(service.calls(), caller, self.since, until).await {
                Ok(looked) => backlog = looked,
                // It may come back while there is time.
                Err(error) => tracing::warn!(%error, "how far the embedding is cannot be told"),
            }
            bar.set_position(total.saturating_sub(backlog.pending));
            bar.set_message(backlog.error.clone().unwrap_or_default());
        }
        bar.finish_and_clear();
        let Backlog { pending, failed, error, .. } = backlog;
        Ok(Embedding { pending, failed, error, seconds: started.elapsed().as_secs_f64() })
    }
}
