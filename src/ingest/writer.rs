use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::batch::{self, Outcome, Output};
use super::draft::Draft;
use crate::call::{Calls, Client, Failure, Tool};
use crate::documents::{Analysis, Cutting};
use crate::identity::Caller;

/// How often a batch is tried while the server or the database asks for patience.
const MOST_TRIES: u32 = 30;

/// Stores batches as one caller, or looks what that would do.
pub(super) struct Writer<T> {
    calls: Calls,
    caller: Caller,
    tool: Arc<T>,
}

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), caller: self.caller.clone(), tool: Arc::clone(&self.tool) }
    }
}

impl<T: Tool<Output = Output>> Writer<T> {
    pub(super) fn new(calls: Calls, caller: Caller, tool: T) -> Self {
        Self { calls, caller, tool: Arc::new(tool) }
    }

    /// Stores a batch: an outcome for each of its documents.
    ///
    /// A batch is tried again where it is not known to be kept: what was stored is found by source and content. One that
    /// takes too long goes in by halves.
    pub(super) async fn store(&self, drafts: &[Draft]) -> Vec<Result<Outcome, String>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let client = Client {
                user_agent: Some(concat!("bailiwick-cli/", env!("CARGO_PKG_VERSION")).to_owned()),
                ..Client::default()
            };
            // A stop lets what is under way end.
            let never = CancellationToken::new();
            let called = self.calls.run(&self.tool, &self.caller, client, batch::arguments(drafts), &never).await;
            let failure = match called {
                Ok(output) => return output.results.into_iter().map(Ok).collect(),
                Err(failure) => failure,
            };
            let has_names = drafts.iter().all(|draft| draft.source.is_some());
            let patience_s = match failure {
                Failure::RateLimited { retry_after_s }
                | Failure::Overloaded { retry_after_s }
                | Failure::Unavailable { retry_after_s, .. } => Some(retry_after_s),
                Failure::OutcomeUnknown { .. } if has_names => Some(2),
                Failure::Timeout { .. } if drafts.len() > 1 => {
                    let (first, second) = drafts.split_at(drafts.len() / 2);
                    let mut outcomes = Box::pin(self.store(first)).await;
                    outcomes.extend(Box::pin(self.store(second)).await);
                    return outcomes;
                }
                _ => None,
            };
            match patience_s.filter(|_| tries < MOST_TRIES) {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
                None => return drafts.iter().map(|_| Err(failure.to_string())).collect(),
            }
        }
    }
}

/// What a batch would be stored as.
pub(super) fn pretend(drafts: &[Draft]) -> Vec<Result<Outcome, String>> {
    let stored =
        |draft: &Draft| Ok(Outcome::Stored { chunks: Analysis::of(&draft.content, &Cutting::default()).chunk_count() });
    drafts.iter().map(stored).collect()
}
