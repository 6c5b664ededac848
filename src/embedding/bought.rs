//! Vectors of queries that cost money: each is bought by a call of the server's own, so that the money is held before it is spent, and
//! stands in the ledger whatever becomes of the search that asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{EmbeddingError, Embeddings, Purpose, Read, metering};
use crate::call::{Action, Ahead, Answer, Call, Calls, Failure, Hints, Problems, Tool};
use crate::costs::usd;
use crate::identity::{Caller, Scope};

/// How long it may take, retries included; the search that asked has long gone on by words.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why a query has no vector: for whoever searches.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoVector {
    /// The embedder.
    #[error("{0}")]
    Embedder(#[from] EmbeddingError),
    /// The budget, or whatever else ended the call that was to buy it.
    #[error("{0}")]
    Refused(String),
}

/// Who buys, and for whom.
pub(super) struct Buyer {
    calls: Calls,
    caller: Caller,
    tool: Arc<EmbedQuery>,
}

impl Buyer {
    /// For the caller of a search.
    pub fn new(embeddings: &Embeddings, ahead: &Ahead<'_>) -> Self {
        let tool = Arc::new(EmbedQuery { embeddings: embeddings.clone() });
        Self { calls: ahead.calls().clone(), caller: ahead.caller().clone(), tool }
    }

    /// The vector of a text.
    pub async fn buy(&self, text: String) -> Result<Vec<f32>, NoVector> {
        let error = Arc::new(OnceLock::new());
        let request = Request { text, read: None, error: Arc::clone(&error) };
        match self.calls.run_own(&self.tool, &self.caller, request, DEADLINE).await {
            // Paid for, and of no use.
            Ok(_) if error.get().is_some() => Err(error.get().cloned().unwrap_or(EmbeddingError::Internal).into()),
            Ok(output) => Ok(output.vector),
            Err(failure) => Err(match (error.get(), failure) {
                (Some(error), _) => NoVector::Embedder(error.clone()),
                (None, Failure::BudgetExceeded { told, .. }) => NoVector::Refused(told),
                (None, _) => NoVector::Embedder(EmbeddingError::Internal),
            }),
        }
    }
}

/// Embeds a query that costs money; no client can call it.
struct EmbedQuery {
    embeddings: Embeddings,
}

struct Request {
    text: String,
    read: Option<Read>,
    /// Why it could not be embedded; the trail has only its code.
    error: Arc<OnceLock<EmbeddingError>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// Unit length; empty where the answer could not be used.
    vector: Vec<f32>,
}

impl Tool for EmbedQuery {
    type Input = ();
    type Request = Request;
    type Output = Output;

    const SURFACE: &'static str = "worker";
    const NAME: &'static str = "embed_query";
    const TITLE: &'static str = "Embed a query";
    const DESCRIPTION: &'static str = "Embeds a query for a search.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Embed;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: false };

    fn check(&self, (): ()) -> Result<Request, Problems> {
        Err(Problems::one("arguments", "cannot be given: only the server embeds queries"))
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let model = self.embeddings.embedder().map(|(embedder, _)| embedder.model().name.clone());
        Map::from_iter([
            ("query_chars".to_owned(), request.text.chars().count().into()),
            ("model".to_owned(), model.into()),
        ])
    }

    async fn prepare(&self, ahead: &Ahead<'_>, request: &mut Request) -> Result<(), Failure> {
        let texts = std::slice::from_ref(&request.text);
        request.read = Some(self.embeddings.embed_for(ahead, Purpose::Query, texts, &request.error).await?);
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let Some(read) = &request.read else { return Err(Failure::Internal { call_id: call.id }) };
        let vector = read.embedded().and_then(|embedded| embedded.vectors.first()).cloned().unwrap_or_default();
        let tokens = read.tokens();
        let cost =
            self.embeddings.record(call.transaction, call.caller, call.id, tokens, ("search", "hybrid_search")).await;
        let cost = cost.map_err(|error| call.failed(&error))?;
        metering::tokens(Purpose::Query, tokens);
        let details = Map::from_iter([
            ("tokens".to_owned(), tokens.into()),
            ("cost_usd".to_owned(), usd(cost).into()),
            ("unusable".to_owned(), read.unusable().into()),
        ]);
        Ok(Answer::new(Output { vector }).telling(details))
    }
}
