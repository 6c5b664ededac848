//! From one embedding model to the next, while searches go on.
//!
//! The next model's vectors fill columns beside those that are searched, as calls of each tenant's own. Then, for tenants with
//! many, their indexes are built; and at last one short transaction puts the new columns in the place of the old, for every
//! search at once. Until then nothing that is searched has changed, and whatever was done is kept if it is broken off.

mod batch;
mod recut;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use self::batch::{EmbedNext, Request};
use super::Embeddings;
use crate::call::Calls;
use crate::db::{DbError, OwnerTransaction, admin};
use crate::embedding::worker;
use crate::identity::{Caller, TenantId};
use crate::maintenance;

const SETTLE_STATUS: &str = include_str!("../../../sql/queries/embedding/settle_status.sql");

/// How long one batch may take, retries included.
const DEADLINE: Duration = Duration::from_secs(150);
/// Passages of a tenant that a model may refuse before the fault is taken for its own.
const MOST_LEFT_OUT: usize = 100;
/// The switch waits for the statements under way, and those that come wait for it: it gives up soon and tries again.
const SWITCH_TRIES: u32 = 300;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// How far a move is.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// So many passages are to be embedded.
    Begun {
        /// Of all tenants.
        passages: u64,
    },
    /// So many more were.
    Embedded {
        /// In this batch.
        passages: u64,
        /// That were read for it.
        tokens: u64,
    },
    /// Indexes of large tenants are built.
    Indexing,
    /// The new vectors take the place of the old.
    Switching,
}

/// What a move came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved {
    /// Passages embedded now; those of an earlier try count no more.
    pub passages: u64,
    /// Tokens read for them.
    pub tokens: u64,
    /// Documents that came or changed at the last moment, and wait for the worker.
    pub pending_documents: u64,
    /// Documents whose passages were longer than what the model reads: cut anew, they wait for it too.
    pub recut_documents: u64,
}

/// Why a move was not finished. It goes on where it stopped when it is begun again.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The database.
    #[error("{0}")]
    Db(#[from] DbError),
    /// The embedder, or a tenant's budget.
    #[error("passages of the tenant {tenant} were not embedded: {reason}")]
    Embedder {
        /// Whose.
        tenant: String,
        /// In the words of the call that failed.
        reason: String,
    },
    /// Somebody else is at it.
    #[error("another `bailiwick embed` is moving this database")]
    Busy,
    /// Statements that last keep the tables.
    #[error(
        "the tables were in use all the time, so the new vectors could not be put in place; try again when less is going on"
    )]
    InUse,
}

/// Moves all tenants' documents to the embedder's model. `client` and `observer` are an administrator's.
///
/// # Errors
/// [`MoveError`].
pub async fn run(
    client: &Client,
    observer: &Client,
    calls: &Calls,
    embeddings: &Embeddings,
    tell: impl Fn(Step),
) -> Result<Moved, MoveError> {
    let Some((embedder, model_id)) = embeddings.embedder() else {
        return Err(DbError::Other("a move without an embedder".to_owned()).into());
    };
    if !maintenance::try_take(client, maintenance::MOVES).await? {
        return Err(MoveError::Busy);
    }
    again(|| admin::prepare_next_embeddings(client, model_id)).await?;
    let lacking = admin::count_next_lacking(client).await?;
    tell(Step::Begun { passages: lacking.iter().map(|(_, passages)| passages).sum() });
    let tool = Arc::new(EmbedNext { embeddings: embeddings.clone() });
    let mut moved = Moved::default();
    for tenant in admin::list_tenants(client).await?.into_iter().filter(|tenant| tenant.status == "active") {
        let caller = caller_of(tenant.id)?;
        // After a refusal passages go one by one, and those that are refused alone are left to the worker.
        let (mut left_out, mut alone) = (Vec::new(), 0);
        loop {
            let most = if alone > 0 { 1 } else { embedder.batch_size() };
            let request = Request::of(calls, &caller, embedder, most, &left_out).await?;
            let Some((first, ..)) = request.passages.first() else { break };
            let (first, is_one, error) = (*first, request.passages.len() == 1, Arc::clone(&request.error));
            let output = match (calls.run_own(&tool, &caller, request, DEADLINE).await, error.get()) {
                (Ok(output), None) => output,
                (_, Some(error)) if !error.is_of_the_service() && !is_one => {
                    alone = embedder.batch_size();
                    continue;
                }
                (_, Some(error)) if !error.is_of_the_service() && left_out.len() < MOST_LEFT_OUT => {
                    tracing::warn!(tenant = %tenant.slug, %error, "a passage is not embedded with the next model and left to the worker");
                    left_out.push(first);
                    continue;
                }
                (ended, error) => {
                    let failure = ended.err().map(|failure| failure.to_string());
                    let reason = error.map(ToString::to_string).or(failure).unwrap_or_default();
                    return Err(MoveError::Embedder { tenant: tenant.slug.clone(), reason });
                }
            };
            alone = alone.saturating_sub(1);
            moved.passages += output.passages;
            moved.tokens += output.tokens;
            tell(Step::Embedded { passages: output.passages, tokens: output.tokens });
        }
    }
    tell(Step::Indexing);
    for (tenant_id, _) in admin::count_chunks(client).await? {
        maintenance::build_next_index(client, Some(observer), tenant_id).await?;
    }
    tell(Step::Switching);
    again(|| admin::switch_embedding_model(client)).await?;
    for tenant in admin::list_tenants(client).await? {
        moved.pending_documents += settle(client, tenant.id).await?;
        if tenant.status == "active" {
            // Not before: what is searched until then keeps its vectors by that.
            moved.recut_documents += recut::recut(calls, &caller_of(tenant.id)?, &embedder.cutting()).await?;
        }
    }
    Ok(moved)
}

fn caller_of(tenant_id: TenantId) -> Result<Caller, DbError> {
    worker::caller(tenant_id).map_err(|error| DbError::Other(error.to_string()))
}

/// Says of each document whether it is embedded; how many of a tenant's wait.
async fn settle(client: &Client, tenant_id: TenantId) -> Result<u64, DbError> {
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let settled = transaction.query(SETTLE_STATUS, &[&tenant_id]).await;
    let rows = transaction.end(settled).await?;
    let pending = rows.first().map(|row| row.try_get::<_, i64>("pending")).transpose()?;
    Ok(u64::try_from(pending.unwrap_or_default()).unwrap_or_default())
}

/// Tries what needs the tables for itself until it gets them.
async fn again<F: Future<Output = Result<(), DbError>>>(change: impl Fn() -> F) -> Result<(), MoveError> {
    for _ in 0..SWITCH_TRIES {
        match change().await {
            // A lock that did not come at once.
            Err(DbError::TimedOut(_)) => tokio::time::sleep(BETWEEN_TRIES).await,
            other => return Ok(other?),
        }
    }
    Err(MoveError::InUse)
}
