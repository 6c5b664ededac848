use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::encoder::Encoder;
use super::folder::Folder;
use super::source::Source;

/// Between two tries to get a model.
const PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(1_800);

/// How far a model is.
#[derive(Clone)]
pub(super) enum State {
    Loading,
    Ready(Arc<Encoder>),
    /// It will be tried again.
    Failed,
}

/// Fetching and loading, which end when this is dropped.
pub(super) struct Loading(JoinHandle<()>);

impl Drop for Loading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Fetches and loads in the background until it succeeds.
pub(super) fn begin(source: Source) -> (watch::Receiver<State>, Loading) {
    let (state, receiver) = watch::channel(State::Loading);
    let task = tokio::spawn(async move {
        let mut pause = PAUSE;
        loop {
            let started = Instant::now();
            match load(&source).await {
                Ok(encoder) => {
                    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    tracing::info!(model = source.name(), took_ms, "embedding model loaded");
                    state.send_replace(State::Ready(Arc::new(encoder)));
                    return;
                }
                Err(error) => {
                    tracing::warn!(
                        model = source.name(),
                        error,
                        retry_s = pause.as_secs(),
                        "no embedding model: documents are stored and found by words; `--no-embeddings` does without for good"
                    );
                    state.send_replace(State::Failed);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    });
    (receiver, Loading(task))
}

pub(super) async fn load(source: &Source) -> Result<Encoder, String> {
    let folder = source.fetch().await?;
    let loaded = tokio::task::spawn_blocking(move || {
        let encoder =
            Folder::open(&folder).and_then(|folder| Encoder::load(&folder)).map_err(|error| error.to_string())?;
        // The first computation allocates and warms what the others use.
        encoder.embed(vec!["warm".to_owned()], || true)?;
        Ok(encoder)
    });
    loaded.await.unwrap_or_else(|_| Err("loading it panicked".to_owned()))
}
