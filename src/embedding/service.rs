use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::bought::Buyer;
use super::queries::{Queries, QueryVector};
use super::{Embedded, Embedder, EmbeddingError, Purpose, metering};
use crate::call::{Ahead, Failure};
use crate::costs::{self, Estimate, Reservation};
use crate::db::{DbError, TenantTransaction};
use crate::documents::Cutting;
use crate::identity::Caller;
use rust_decimal::Decimal;
use uuid::Uuid;

/// A query waits so long for its vector, and is then answered by words.
const QUERY_DEADLINE: Duration = Duration::from_secs(2);

const FOREIGN: &str = "the documents are embedded with another model than this server's";

/// Tokens that models put around a text, at the most; prompts in front of it included.
const TOKENS_AROUND: usize = 64;

/// What this server can embed with, and what it costs; or why it cannot.
#[derive(Clone)]
pub struct Embeddings(Arc<Kind>);

enum Kind {
    Off(String),
    On(Box<On>),
}

struct On {
    embedder: Embedder,
    model_id: i16,
    queries: Queries,
    allows_unpriced: bool,
    /// How long a query waits for its vector.
    patience: Duration,
    /// Documents were moved to another model while this server ran.
    is_foreign: AtomicBool,
}

/// What an embedder made of a call's texts.
pub(super) enum Read {
    /// Their vectors.
    Embedded(Embedded),
    /// Nothing that can be used, of tokens that have to be paid: the call ends well, so that they stand in the ledger.
    Wasted(EmbeddingError),
}

impl Read {
    /// Tokens that were read.
    pub fn tokens(&self) -> i32 {
        match self {
            Self::Embedded(embedded) => embedded.tokens,
            Self::Wasted(error) => error.wasted_tokens(),
        }
    }

    /// The vectors, if they can be used.
    pub fn embedded(&self) -> Option<&Embedded> {
        match self {
            Self::Embedded(embedded) => Some(embedded),
            Self::Wasted(_) => None,
        }
    }

    /// What is wrong with it: for the trail.
    pub fn unusable(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::Wasted(error) => Some(error.to_string()),
        }
    }
}

/// What a search has for its vectors' side.
#[derive(Debug, Clone)]
pub enum ForQuery {
    /// A vector, of the model of that id.
    Vector(Arc<QueryVector>, i16),
    /// None, and why: for whoever searches.
    Absent(String),
}

impl Embeddings {
    /// No embedder, and why in words for whoever searches.
    #[must_use]
    pub fn off(reason: impl Into<String>) -> Self {
        Self(Arc::new(Kind::Off(reason.into())))
    }

    /// An embedder whose model has that id in the database. `allows_unpriced`: tokens of a service without a list price are
    /// recorded at 0 USD and flagged, instead of being refused.
    #[must_use]
    pub fn on(embedder: Embedder, model_id: i16, allows_unpriced: bool) -> Self {
        Self::with(embedder, model_id, allows_unpriced, false)
    }

    /// The same where documents are embedded with another model as yet: searches run by words until they are moved to this one,
    /// which the worker sees.
    #[must_use]
    pub fn in_waiting(embedder: Embedder, model_id: i16, allows_unpriced: bool) -> Self {
        Self::with(embedder, model_id, allows_unpriced, true)
    }

    fn with(embedder: Embedder, model_id: i16, allows_unpriced: bool, is_foreign: bool) -> Self {
        let queries = Queries::new(embedder.clone());
        let (is_foreign, patience) = (AtomicBool::new(is_foreign), QUERY_DEADLINE);
        Self(Arc::new(Kind::On(Box::new(On { embedder, model_id, queries, allows_unpriced, is_foreign, patience }))))
    }

    /// Queries wait so long for their vector. Said before it is shared.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(Kind::On(on)) => Self(Arc::new(Kind::On(Box::new(On { patience, ..*on })))),
            Ok(off) => Self(Arc::new(off)),
            Err(shared) => Self(shared),
        }
    }

    /// The embedder with its model's id, if there is one.
    #[must_use]
    pub fn embedder(&self) -> Option<(&Embedder, i16)> {
        match &*self.0 {
            Kind::On(on) => Some((&on.embedder, on.model_id)),
            Kind::Off(_) => None,
        }
    }

    /// How texts are cut into passages: to the measure of the model that will embed them.
    #[must_use]
    pub fn cutting(&self) -> Cutting {
        self.embedder().map(|(embedder, _)| embedder.cutting()).unwrap_or_default()
    }

    /// Notes whether documents are embedded with another model by now: then queries need no vector of this one.
    pub(super) fn note_foreign(&self, is_foreign: bool) {
        let Kind::On(on) = &*self.0 else { return };
        metering::foreign(is_foreign);
        if on.is_foreign.swap(is_foreign, Ordering::Relaxed) == is_foreign {
            return;
        }
        let model = &on.embedder.model().name;
        if is_foreign {
            tracing::warn!(
                model,
                "documents are embedded with another model now: this server searches by words until it is started again with that model"
            );
        } else {
            tracing::info!(model, "documents are embedded with this server's model now: it searches by meaning too");
        }
    }

    /// Why searches run by words alone, in words for whoever searches; `None` if they do not.
    #[must_use]
    pub fn absence(&self) -> Option<&str> {
        match &*self.0 {
            Kind::On(on) if on.is_foreign.load(Ordering::Relaxed) => Some(FOREIGN),
            Kind::On(_) => None,
            Kind::Off(reason) => Some(reason),
        }
    }

    /// Whether documents are embedded with another model than this one.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(&*self.0, Kind::On(on) if on.is_foreign.load(Ordering::Relaxed))
    }

    /// Why there is none.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &*self.0 {
            Kind::On(_) => None,
            Kind::Off(reason) => Some(reason),
        }
    }

    /// A query's vector, or why there is none: a search goes on by words then.
    ///
    /// # Errors
    /// A [`Failure`] if the caller's tenant may not call at all.
    pub async fn query(&self, ahead: &Ahead<'_>, text: &str) -> Result<ForQuery, Failure> {
        let on = match &*self.0 {
            Kind::On(on) => on,
            Kind::Off(reason) => return Ok(ForQuery::Absent(reason.clone())),
        };
        if on.is_foreign.load(Ordering::Relaxed) {
            return Ok(ForQuery::Absent(FOREIGN.to_owned()));
        }
        if let Some(foreign) = on.embedder.model().languages.refusal(text) {
            return Ok(ForQuery::Absent(foreign));
        }
        let tenant_id = ahead.caller().tenant_id;
        if let Some(vector) = on.queries.cached(tenant_id, text).await {
            return Ok(ForQuery::Vector(vector, on.model_id));
        }
        let patience = on.patience.min(ahead.time_left());
        let buyer = (!on.embedder.is_free()).then(|| Buyer::new(self, ahead));
        Ok(match on.queries.embed(tenant_id, text, patience, buyer).await {
            Ok(vector) => ForQuery::Vector(vector, on.model_id),
            Err(error) => ForQuery::Absent(error.to_string()),
        })
    }

    /// Embeds texts for a call, if its tenant may spend what they cost and while the call has time. Why the embedder failed goes
    /// into `told`: the failure that the trail keeps has only its code.
    ///
    /// # Errors
    /// [`Failure::BudgetExceeded`] before anything is sent, or [`Failure::Unavailable`].
    pub(super) async fn embed_for(
        &self,
        ahead: &Ahead<'_>,
        purpose: Purpose,
        texts: &[String],
        told: &OnceLock<EmbeddingError>,
    ) -> Result<Read, Failure> {
        let embedded = match &*self.0 {
            Kind::On(on) => {
                on.afford(ahead, texts).await?;
                let embedding = on.embedder.embed(purpose, texts);
                tokio::time::timeout(ahead.time_left(), embedding).await.unwrap_or(Err(EmbeddingError::TimedOut))
            }
            Kind::Off(_) => Err(EmbeddingError::NotLoaded),
        };
        let error = match embedded {
            Ok(embedded) => return Ok(Read::Embedded(embedded)),
            Err(error) => error,
        };
        let _ = told.set(error.clone());
        match error.wasted_tokens() {
            0 => Err(Failure::Unavailable { reason: "the embedder failed.", retry_after_s: 30 }),
            _ => Ok(Read::Wasted(error)),
        }
    }

    /// Writes the cost row of tokens that were read for a call (for which operation of which tool), and says what they cost in USD.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn record(
        &self,
        transaction: &TenantTransaction,
        caller: &Caller,
        call_id: Uuid,
        tokens: i32,
        (operation, tool): (&'static str, &'static str),
    ) -> Result<Decimal, DbError> {
        let Kind::On(on) = &*self.0 else { return Ok(Decimal::ZERO) };
        let model = on.embedder.model();
        let usage = costs::Usage {
            model_name: model.name.clone(),
            provider: model.provider.clone(),
            input_tokens: tokens,
            cached_input_tokens: 0,
            output_tokens: 0,
            operation: Some(operation.to_owned()),
            tool: Some(tool.to_owned()),
            metadata: Value::Null,
        };
        let cost =
            costs::record_embedding(transaction, caller, call_id, &usage, on.embedder.is_free(), on.allows_unpriced);
        cost.await?.ok_or_else(|| DbError::Other("the embedding model has no price any more".to_owned()))
    }
}

impl On {
    /// Has held what it costs to embed these texts.
    async fn afford(&self, ahead: &Ahead<'_>, texts: &[String]) -> Result<(), Failure> {
        if self.embedder.is_free() {
            return Ok(());
        }
        let model = self.embedder.model();
        // A token is a byte at least; those around each text are counted apart.
        let input_tokens = texts.iter().map(|text| text.len() + TOKENS_AROUND).sum::<usize>();
        let estimate = Estimate {
            provider: model.provider.clone(),
            model_name: model.name.clone(),
            input_tokens: i64::try_from(input_tokens).unwrap_or(i64::MAX),
            ..Estimate::default()
        };
        match ahead.reserve(&estimate).await? {
            Reservation::Held | Reservation::Repeated => Ok(()),
            Reservation::Unpriced if self.allows_unpriced => Ok(()),
            Reservation::Unpriced => Err(Failure::BudgetExceeded {
                told: "the embedding model has no price any more.".to_owned(),
                is_held: false,
            }),
            Reservation::Refused(refusal) => Err(refusal.into()),
        }
    }
}

impl Default for Embeddings {
    fn default() -> Self {
        Self::off("no query_embedding was given and this server has no embedder")
    }
}

impl std::fmt::Debug for Embeddings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &*self.0 {
            Kind::On(on) => f.debug_tuple("Embeddings::on").field(&on.embedder).finish(),
            Kind::Off(reason) => f.debug_tuple("Embeddings::off").field(reason).finish(),
        }
    }
}
