//! The end of a deleted tenant: all its rows go, but those of the trail and the costs, which go with their months.
//!
//! Step by step, each a short transaction in the tenant's own context, so that nobody waits for a lock and a slip in a statement
//! could reach no other tenant's rows. Broken off it goes on where it stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::db::{DbError, OwnerTransaction, admin};
use crate::identity::TenantId;
use crate::maintenance::{drop_vector_indexes, lock};

const TENANTS_TO_PURGE: &str = include_str!("../../sql/queries/administration/tenants_to_purge.sql");
const BEGIN_PURGE: &str = include_str!("../../sql/queries/administration/begin_purge.sql");
const PURGE_STEP: &str = include_str!("../../sql/queries/administration/purge_step.sql");
const END_PURGE: &str = include_str!("../../sql/queries/administration/end_purge.sql");

/// Rows of one step: some tens of milliseconds.
const STEP_ROWS: i32 = 2_000;
/// Between two looks for calls under way.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What went.
#[derive(Debug, Clone, Serialize)]
pub struct Purged {
    /// The tenant's short name, which is free again.
    pub slug: String,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
}

/// Why a tenant was not purged.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PurgeError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("the tenant is not deleted: `bailiwick tenant delete` comes first")]
    NotDeleted,
    #[error("the tenant is just being imported")]
    Importing,
    #[error(
        "{0} calls of the tenant are still under way: try again when they have ended, in ten minutes at the latest"
    )]
    InUse(i64),
}

/// Deleted tenants that are to be purged, where they are kept for so many days; and those whose purge was broken off.
///
/// # Errors
/// Any [`DbError`].
pub async fn due(client: &Client, purge_after_days: u16) -> Result<Vec<(TenantId, String)>, DbError> {
    let rows = admin::as_owner(client, TENANTS_TO_PURGE, &[&i32::from(purge_after_days)]).await?;
    rows.iter().map(|row| Ok((TenantId::from(row.try_get::<_, Uuid>("id")?), row.try_get("slug")?))).collect()
}

/// Purges a deleted tenant; calls under way may take so long to end. `tell` hears of each step: table and rows.
///
/// # Errors
/// [`PurgeError`].
pub async fn purge(
    client: &Client,
    tenant_id: TenantId,
    patience: Duration,
    mut tell: impl FnMut(&str, i64),
) -> Result<Purged, PurgeError> {
    if !lock::try_take(client, lock::import_of(tenant_id)).await? {
        return Err(PurgeError::Importing);
    }
    let purged = locked(client, tenant_id, patience, &mut tell).await;
    lock::release(client, lock::import_of(tenant_id)).await?;
    purged
}

async fn locked(
    client: &Client,
    tenant_id: TenantId,
    patience: Duration,
    tell: &mut impl FnMut(&str, i64),
) -> Result<Purged, PurgeError> {
    wait_for_calls(client, tenant_id, patience).await?;
    lock::take(client, lock::VECTORS).await?;
    let dropped = drop_vector_indexes(client, tenant_id).await;
    lock::release(client, lock::VECTORS).await?;
    dropped?;
    // Nobody merges what goes.
    lock::take(client, lock::of(tenant_id)).await?;
    let purged = steps(client, tenant_id, tell).await;
    lock::release(client, lock::of(tenant_id)).await?;
    let purged = purged?;
    admin::refresh_statistics(client).await?;
    Ok(purged)
}

async fn wait_for_calls(client: &Client, tenant_id: TenantId, patience: Duration) -> Result<(), PurgeError> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        let rows = admin::as_owner(client, BEGIN_PURGE, &[&tenant_id]).await?;
        let row = rows.first().ok_or(PurgeError::NotDeleted)?;
        let under_way: i64 = row.try_get("calls_under_way").map_err(DbError::from)?;
        if under_way == 0 {
            return Ok(());
        }
        if tokio::time::Instant::now() >= until {
            return Err(PurgeError::InUse(under_way));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn steps(client: &Client, tenant_id: TenantId, tell: &mut impl FnMut(&str, i64)) -> Result<Purged, PurgeError> {
    let mut rows = BTreeMap::new();
    loop {
        let transaction = OwnerTransaction::begin(client, tenant_id).await?;
        let step = transaction.query(PURGE_STEP, &[&tenant_id, &STEP_ROWS]).await;
        let step = transaction.end(step).await?;
        let Some(row) = step.first() else { break };
        let (table, gone): (String, i64) =
            (row.try_get("table_name").map_err(DbError::from)?, row.try_get("row_count").map_err(DbError::from)?);
        tell(&table, gone);
        *rows.entry(table).or_default() += gone;
    }
    let told = serde_json::to_value(&rows).map_err(|error| DbError::Other(error.to_string()))?;
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let ended = transaction.query(END_PURGE, &[&tenant_id, &told]).await;
    let ended = transaction.end(ended).await?;
    let row = ended.first().ok_or(PurgeError::NotDeleted)?;
    Ok(Purged { slug: row.try_get("slug").map_err(DbError::from)?, rows })
}
