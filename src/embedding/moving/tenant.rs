use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::batch::{EmbedNext, Request};
use super::{DEADLINE, MoveError, Moved, Step};
use crate::call::Calls;
use crate::embedding::worker::Work;
use crate::embedding::{EmbeddingError, Embeddings};
use crate::identity::Caller;

/// Passages of a tenant that a model may refuse before the fault is taken for its own.
const MOST_LEFT_OUT: usize = 100;
/// How long a service that asks for patience is waited for without a batch that succeeds: what was embedded until then is kept,
/// but nobody looks at a command for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Where it does not say how long.
const WAIT: Duration = Duration::from_secs(20);

/// Embeds a tenant's passages with the next model. Passages that are refused alone, by a service that embeds others, are left to
/// the worker.
pub(super) async fn embed(
    calls: &Calls,
    embeddings: &Embeddings,
    (slug, caller): (&str, &Caller),
    tell: &impl Fn(Step),
    moved: &mut Moved,
) -> Result<(), MoveError> {
    let Some((embedder, _)) = embeddings.embedder() else { return Ok(()) };
    let Some(work) = Work::new(calls.clone(), embeddings.clone()) else { return Ok(()) };
    let tool = Arc::new(EmbedNext { embeddings: embeddings.clone() });
    let ended = |reason: String| Err(MoveError::Embedder { tenant: slug.to_owned(), reason });
    // After a refusal passages go one by one.
    let (mut left_out, mut alone, mut last) = (Vec::new(), 0, Instant::now());
    loop {
        let most = if alone > 0 { 1 } else { embedder.batch_size() };
        let request = Request::of(calls, caller, embedder, most, &left_out).await?;
        let Some((first, ..)) = request.passages.first() else { return Ok(()) };
        let (first, is_one, error) = (*first, request.passages.len() == 1, Arc::clone(&request.error));
        let output = match (calls.run_own(&tool, caller, request, DEADLINE).await, error.get()) {
            (Ok(output), None) => output,
            (Err(failure), None) => return ended(failure.to_string()),
            (_, Some(error)) => {
                if let Some(pause) = pause(error).filter(|pause| last.elapsed() + *pause <= LONGEST_WAIT) {
                    tracing::warn!(tenant = %slug, %error, wait_s = pause.as_secs(), "the move waits for the embedding service");
                    tell(Step::Waiting);
                    tokio::time::sleep(pause).await;
                    continue;
                }
                // What it does with every text is its own fault, and may have to be paid for each.
                if error.is_of_the_service() || left_out.len() >= MOST_LEFT_OUT || !work.embeds_anything(caller).await {
                    return ended(error.to_string());
                }
                if is_one {
                    tracing::warn!(tenant = %slug, %error, "a passage is not embedded with the next model and left to the worker");
                    left_out.push(first);
                } else {
                    alone = embedder.batch_size();
                }
                continue;
            }
        };
        last = Instant::now();
        alone = alone.saturating_sub(1);
        moved.passages += output.passages;
        moved.tokens += output.tokens;
        tell(Step::Embedded { passages: output.passages, tokens: output.tokens });
    }
}

/// How long a service is to be left alone that is there, and only asks for patience.
fn pause(error: &EmbeddingError) -> Option<Duration> {
    match error {
        // A little more, so that it is over then.
        EmbeddingError::Resting { retry_after } => Some(*retry_after + Duration::from_millis(50)),
        EmbeddingError::Busy { retry_after } => Some(retry_after.unwrap_or(WAIT)),
        _ => None,
    }
}
