//! From one embedding model to the next, while searches go on.
//!
//! The next model's vectors fill columns beside those that are searched, as calls of each tenant's own. Then, for tenants with
//! many, their indexes are built; and at last one short transaction puts the new columns in the place of the old, for every
//! search at once. Until then nothing that is searched has changed, and whatever was done is kept if it is broken off.

mod batch;
mod recut;
mod tenant;

use std::time::Duration;

use tokio_postgres::Client;

use super::Embeddings;
use crate::call::Calls;
use crate::db::{DbError, OwnerTransaction, admin};
use crate::documents::Cutting;
use crate::embedding::worker;
use crate::identity::TenantId;
use crate::maintenance;

const SETTLE_STATUS: &str = include_str!("../../../sql/queries/embedding/settle_status.sql");

/// How long one batch may take, retries included.
const DEADLINE: Duration = Duration::from_secs(150);
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
    /// The service asked for patience.
    Waiting,
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
    let mut moved = Moved::default();
    for tenant in admin::list_tenants(client).await?.into_iter().filter(|tenant| tenant.status == "active") {
        let caller = worker::caller(tenant.id);
        tenant::embed(calls, embeddings, (&tenant.slug, &caller), &tell, &mut moved).await?;
    }
    tell(Step::Indexing);
    for (tenant_id, _) in admin::count_chunks(client).await? {
        maintenance::build_next_index(client, Some(observer), tenant_id).await?;
    }
    tell(Step::Switching);
    again(|| admin::switch_embedding_model(client)).await?;
    for tenant in admin::list_tenants(client).await? {
        moved.pending_documents += settle(client, tenant.id).await?;
    }
    // Not before: what is searched until then keeps its vectors by that.
    moved.recut_documents = recut_all(client, calls, &embedder.cutting()).await?;
    Ok(moved)
}

/// Cuts the passages of all active tenants anew that are longer than what the model reads; how many documents wait for their vectors
/// by that. A move ends with it, and whoever fills in begins with it: the move may have been killed, the tenant suspended, or the
/// document stored by a server with another measure.
///
/// # Errors
/// Any [`DbError`].
pub async fn recut_all(client: &Client, calls: &Calls, cutting: &Cutting) -> Result<u64, DbError> {
    let mut documents = 0;
    for tenant in admin::list_tenants(client).await?.into_iter().filter(|tenant| tenant.status == "active") {
        documents += recut::recut(calls, &worker::caller(tenant.id), cutting).await?;
    }
    Ok(documents)
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
