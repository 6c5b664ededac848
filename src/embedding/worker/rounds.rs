use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use super::batch::{EmbedPassages, Request};
use super::claims::{self, Claimed, Fault};
use crate::call::{Calls, Failure};
use crate::db::DbError;
use crate::embedding::{EmbeddingError, Embeddings, Purpose, metering};
use crate::identity::{Caller, Scopes, TenantId, UserId};

/// How long one batch may take, retries included.
const DEADLINE: Duration = Duration::from_secs(150);
/// Until documents are tried again for which nothing could be done.
const LATER: Duration = Duration::from_secs(30);
const BUDGET: Duration = Duration::from_secs(600);

/// All that waits, in rounds of some documents of one tenant.
#[derive(Clone)]
pub struct Work {
    calls: Calls,
    embeddings: Embeddings,
    tool: Arc<EmbedPassages>,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Documents embedded.
    pub documents: u64,
    /// Passages embedded.
    pub passages: u64,
    /// Tokens read.
    pub tokens: u64,
    /// Documents given up.
    pub failed: u64,
}

/// Why it went no further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Documents are embedded with another model than this server's.
    #[error("documents are embedded with another model than this program is set up with")]
    Foreign,
    /// The embedder or the database.
    #[error("{0}")]
    Failed(String),
}

/// Documents of a batch that failed, it seems for their texts.
struct Left {
    documents: Vec<Uuid>,
    error: EmbeddingError,
}

/// What to do after a batch that failed.
enum After {
    /// Try its documents one by one.
    OneByOne(EmbeddingError),
    /// Go on with other tenants.
    Others,
    /// Nothing, for a while.
    Nothing(Stopped),
}

impl From<DbError> for Stopped {
    fn from(error: DbError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Work {
    /// Work for an embedder; `None` if there is none.
    #[must_use]
    pub fn new(calls: Calls, embeddings: Embeddings) -> Option<Self> {
        embeddings.embedder()?;
        let tool = Arc::new(EmbedPassages { embeddings: embeddings.clone() });
        Some(Self { calls, embeddings, tool })
    }

    /// Embeds until nothing waits that could be embedded now. `tell` hears of each batch.
    ///
    /// # Errors
    /// [`Stopped`]; what was done stays done.
    pub async fn everything(&self, tell: impl Fn(Done)) -> Result<Done, Stopped> {
        let Some((embedder, model_id)) = self.embeddings.embedder() else { return Ok(Done::default()) };
        if self.calls.system().adopt_embedding_model(model_id).await?.is_none_or(|(current, _)| current != model_id) {
            return Err(Stopped::Foreign);
        }
        // Looked first, so that nothing is said of a model that nobody needs.
        if self.calls.system().tenants_to_embed().await?.is_empty() {
            metering::waiting(0);
            return Ok(Done::default());
        }
        embedder.ready().await.map_err(|error| Stopped::Failed(error.to_string()))?;
        // Each to its end: one that is dropped would keep what it had claimed.
        let lanes = join_all((0..embedder.lanes()).map(|_| self.lane(&tell))).await;
        lanes.into_iter().try_fold(Done::default(), |done, lane| Ok(done.and(lane?)))
    }

    /// Tells searches whether this server's model is still that of the documents.
    pub(super) fn note_foreign(&self, is_foreign: bool) {
        self.embeddings.note_foreign(is_foreign);
    }

    async fn lane(&self, tell: &impl Fn(Done)) -> Result<Done, Stopped> {
        let mut done = Done::default();
        loop {
            let tenants = self.calls.system().tenants_to_embed().await?;
            metering::waiting(tenants.len());
            let mut claimed = 0;
            for tenant_id in tenants {
                let (of_round, documents) = self.round(tenant_id, tell).await?;
                done = done.and(of_round);
                claimed += documents;
            }
            // What waits still is another's.
            if claimed == 0 {
                return Ok(done);
            }
        }
    }

    /// Claims some of a tenant's documents and embeds them; how many were claimed.
    async fn round(&self, tenant_id: TenantId, tell: &impl Fn(Done)) -> Result<(Done, usize), Stopped> {
        let Some((_, model_id)) = self.embeddings.embedder() else { return Ok((Done::default(), 0)) };
        let caller = caller(tenant_id);
        let Claimed { documents, exhausted, is_current } = claims::claim(&self.calls, &caller, model_id).await?;
        if !is_current {
            return Err(Stopped::Foreign);
        }
        let claimed = documents.len() + exhausted.len();
        let mut done = Done::default();
        if !exhausted.is_empty() {
            let why = "the server ended each time it was embedded";
            done.failed += self.count(&caller, &exhausted, Fault::OfTheTexts, why).await?;
        }
        // Together first; should that fail, one by one, so that nobody suffers for another's text.
        let count = documents.len();
        let (of_all, left) = self.documents(&caller, documents, tell).await?;
        done = done.and(of_all);
        let Some(Left { documents, error }) = left else { return Ok((done, claimed)) };
        // What it does with every text is the service's own fault, and may have to be paid for each: one that nobody could refuse tells.
        if !self.embeds_anything(&caller).await {
            self.let_go(&caller, &documents, LATER, &error.to_string()).await?;
            return Err(Stopped::Failed(error.to_string()));
        }
        let mut failed = Vec::new();
        if count == 1 {
            failed.extend(documents.iter().map(|document| (*document, error.clone())));
        } else {
            for (at, document) in documents.iter().enumerate() {
                match self.documents(&caller, vec![*document], tell).await {
                    Ok((of_one, left)) => {
                        done = done.and(of_one);
                        failed.extend(left.map(|left| (*document, left.error)));
                    }
                    Err(stopped) => {
                        // Whoever had no turn, or an unhappy one, is tried again and loses nothing by it.
                        let rest: Vec<Uuid> =
                            failed.iter().map(|(id, _)| *id).chain(documents[at..].iter().copied()).collect();
                        self.let_go(&caller, &rest, LATER, &stopped.to_string()).await?;
                        return Err(stopped);
                    }
                }
            }
        }
        // It may have failed since.
        if count > 1 && failed.len() == count && !self.embeds_anything(&caller).await {
            let all: Vec<Uuid> = failed.iter().map(|(id, _)| *id).collect();
            self.let_go(&caller, &all, LATER, &error.to_string()).await?;
            return Err(Stopped::Failed(error.to_string()));
        }
        for (document, error) in failed {
            done.failed += self.blame(&caller, &[document], &error).await?;
        }
        Ok((done, claimed))
    }

    /// Whether the embedder embeds a text that is beyond suspicion: a call like those of documents, for it may cost as they do. One
    /// whose answer to it is of no use is left alone for a while.
    pub(in crate::embedding) async fn embeds_anything(&self, caller: &Caller) -> bool {
        let trial = Request::trial();
        let error = Arc::clone(&trial.error);
        let ended = self.calls.run_own(&self.tool, caller, trial, DEADLINE).await;
        if let (Some(EmbeddingError::Unusable { .. }), Some((embedder, _))) = (error.get(), self.embeddings.embedder())
        {
            embedder.leave_alone();
        }
        ended.is_ok() && error.get().is_none()
    }

    /// Embeds documents batch by batch; those that are left when a batch fails for its texts.
    async fn documents(
        &self,
        caller: &Caller,
        mut documents: Vec<Uuid>,
        tell: &impl Fn(Done),
    ) -> Result<(Done, Option<Left>), Stopped> {
        let Some((embedder, model_id)) = self.embeddings.embedder() else { return Ok((Done::default(), None)) };
        let mut done = Done::default();
        while !documents.is_empty() {
            let of_model = (model_id, &embedder.cutting());
            let passages = claims::passages(&self.calls, caller, &documents, of_model, embedder.batch_size()).await?;
            let (count, is_last) = (passages.len() as u64, passages.is_empty());
            let request = Request::of(documents.clone(), passages);
            let error = Arc::clone(&request.error);
            match (self.calls.run_own(&self.tool, caller, request, DEADLINE).await, error.get()) {
                (Ok(output), None) => {
                    documents.retain(|document| !output.embedded.contains(document));
                    let tokens = u64::try_from(output.tokens).unwrap_or_default();
                    metering::tokens(Purpose::Passage, output.tokens);
                    let of_batch = Done { documents: output.embedded.len() as u64, passages: count, tokens, failed: 0 };
                    tell(of_batch);
                    done = done.and(of_batch);
                    if is_last {
                        // Gone, or changed so that they wait anew.
                        break;
                    }
                }
                (ended, error) => {
                    return match self.failed(caller, &documents, ended.err().as_ref(), error).await? {
                        After::OneByOne(error) => Ok((done, Some(Left { documents, error }))),
                        After::Others => Ok((done, None)),
                        After::Nothing(stopped) => Err(stopped),
                    };
                }
            }
        }
        Ok((done, None))
    }

    /// Lets go of the documents, unless their texts are to blame.
    async fn failed(
        &self,
        caller: &Caller,
        documents: &[Uuid],
        failure: Option<&Failure>,
        error: Option<&EmbeddingError>,
    ) -> Result<After, Stopped> {
        let of_call = || failure.map(|failure| failure.code().name().to_owned());
        let told = error.map(ToString::to_string).or_else(of_call).unwrap_or_default();
        let (pause, after) = match (failure, error) {
            (_, Some(error)) if !error.is_of_the_service() => return Ok(After::OneByOne(error.clone())),
            (_, Some(EmbeddingError::Resting { retry_after })) => {
                (*retry_after, After::Nothing(Stopped::Failed(told.clone())))
            }
            // Another tenant's budget may not be spent; and what calls under way hold may come back soon.
            (Some(Failure::BudgetExceeded { is_held: true, .. }), None) => (LATER, After::Others),
            (Some(Failure::BudgetExceeded { .. } | Failure::Forbidden(_)), None) => (BUDGET, After::Others),
            _ => (LATER, After::Nothing(Stopped::Failed(told.clone()))),
        };
        self.let_go(caller, documents, pause, &told).await?;
        Ok(after)
    }

    /// Documents that are to be tried again, however often.
    async fn let_go(&self, caller: &Caller, documents: &[Uuid], pause: Duration, told: &str) -> Result<(), Stopped> {
        claims::release(&self.calls, caller, documents, Fault::Passing(pause), told).await?;
        Ok(())
    }

    /// Counts a try against documents whose texts are to blame.
    async fn blame(&self, caller: &Caller, documents: &[Uuid], error: &EmbeddingError) -> Result<u64, Stopped> {
        let fault = if error.is_lasting() { Fault::Lasting } else { Fault::OfTheTexts };
        self.count(caller, documents, fault, &error.to_string()).await
    }

    async fn count(&self, caller: &Caller, documents: &[Uuid], fault: Fault, why: &str) -> Result<u64, Stopped> {
        let failed = claims::release(&self.calls, caller, documents, fault, why).await?;
        if failed > 0 {
            tracing::warn!(tenant = %caller.tenant_id, failed, why, "documents are not embedded; `bailiwick embed --retry-failed` tries them again");
        }
        Ok(u64::try_from(failed).unwrap_or_default())
    }
}

impl Done {
    fn and(self, other: Self) -> Self {
        Self {
            documents: self.documents + other.documents,
            passages: self.passages + other.passages,
            tokens: self.tokens + other.tokens,
            failed: self.failed + other.failed,
        }
    }
}

/// Whom the trail names for what the server does by itself.
pub(in crate::embedding) fn caller(tenant_id: TenantId) -> Caller {
    Caller { tenant_id, user_id: UserId::of_embedder(), scopes: Scopes::all() }
}
