use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::batch::{self, Outcome, Output};
use super::draft::Draft;
use crate::call::{Calls, Client, Failure, Tool};
use crate::documents::{Analysis, Cutting, Quota};
use crate::identity::Caller;

/// How often a batch is tried while the server or the database asks for patience.
const MOST_TRIES: u32 = 30;

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Taken {
    /// An outcome for each of its documents.
    pub outcomes: Vec<Result<Outcome, String>>,
    /// What the tenant has and may have, where that was only looked at.
    pub quota: Option<Quota>,
}

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

    /// Stores a batch.
    ///
    /// A batch is tried again where it is not known to be kept: what was stored is found by source and content. One that
    /// takes too long goes in by halves.
    pub(super) async fn store(&self, drafts: &[Draft]) -> Taken {
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
                Ok(output) => {
                    return Taken { outcomes: output.results.into_iter().map(Ok).collect(), quota: output.quota };
                }
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
                    let mut taken = Box::pin(self.store(first)).await;
                    let behind = Box::pin(self.store(second)).await;
                    taken.outcomes.extend(behind.outcomes);
                    taken.quota = taken.quota.or(behind.quota);
                    return taken;
                }
                _ => None,
            };
            match patience_s.filter(|_| tries < MOST_TRIES) {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
                None => {
                    let outcomes = drafts.iter().map(|_| Err(failure.to_string())).collect();
                    return Taken { outcomes, quota: None };
                }
            }
        }
    }
}

/// What a batch would be stored as.
pub(super) fn pretend(drafts: &[Draft]) -> Taken {
    let stored =
        |draft: &Draft| Ok(Outcome::Stored { chunks: Analysis::of(&draft.content, &Cutting::default()).chunk_count() });
    Taken { outcomes: drafts.iter().map(stored).collect(), quota: None }
}
