use std::sync::Arc;

use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use super::encoder::Encoder;
use crate::embedding::{Embedded, EmbeddingError, Purpose};

/// Threads that compute, apart from those that serve.
pub(super) struct Threads {
    queries: Option<ThreadPool>,
    passages: Option<ThreadPool>,
}

/// Niceness of the threads for passages: the kernel gives serving threads about nine times their share.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

impl Threads {
    pub fn start() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pool = |name: &'static str, threads: usize| {
            let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(move |n| format!("{name}-{n}"));
            match name {
                "embed-query" => builder.build(),
                _ => builder.start_handler(|_| give_way()).build(),
            }
            .inspect_err(|error| tracing::error!(%error, "no threads for embedding"))
            .ok()
        };
        Self { queries: pool("embed-query", cores.min(2)), passages: pool("embed-passage", cores) }
    }

    /// Computes on the threads for that purpose. A caller that goes away is not computed for any further.
    pub async fn embed(
        &self,
        purpose: Purpose,
        encoder: Arc<Encoder>,
        texts: Vec<String>,
    ) -> Result<Embedded, EmbeddingError> {
        let pool = match purpose {
            Purpose::Query => &self.queries,
            Purpose::Passage => &self.passages,
        };
        let pool = pool.as_ref().ok_or(EmbeddingError::Internal)?;
        let (answer, computed) = oneshot::channel();
        pool.spawn(move || {
            let embed = || encoder.embed(texts, || !answer.is_closed());
            // A panic on a rayon thread would end the process.
            let embedded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(embed));
            let embedded = embedded.unwrap_or_else(|_| Err("it panicked".to_owned()));
            let _ = answer.send(embedded);
        });
        match computed.await {
            Ok(Ok(Some(embedded))) => Ok(embedded),
            Ok(Err(error)) => {
                tracing::error!(error, "the embedding model failed");
                Err(EmbeddingError::Internal)
            }
            Ok(Ok(None)) | Err(_) => Err(EmbeddingError::Internal),
        }
    }
}

/// On Linux niceness belongs to a thread, whatever POSIX says; elsewhere it would slow the whole process down.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "the embedding threads run at usual priority");
    }
}
