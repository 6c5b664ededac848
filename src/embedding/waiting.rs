//! Waiting for documents that a call has stored to be embedded.

use std::time::Duration;

use uuid::Uuid;

use crate::call::After;
use crate::db::DbError;

const PROGRESS: &str = include_str!("../../sql/queries/embedding/progress.sql");

/// Between two looks, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Waits until none of the documents waits for its embedding any more, and tells the client how far it is; whether all were
/// embedded, and none given up. The call's own time is the bound.
pub async fn wait(after: &After<'_>, documents: &[Uuid]) -> bool {
    let mut pause = FIRST_PAUSE;
    let mut told = None;
    loop {
        match look(after, documents).await {
            Ok(Progress { pending: 0, failed, .. }) => return failed == 0,
            // Each notification must say more than the one before (MCP, Progress).
            Ok(Progress { embedded, passages, .. }) if told.is_none_or(|told| embedded > told) => {
                told = Some(embedded);
                after.progress().tell(embedded, passages, "embedding passages");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "whether documents are embedded cannot be told"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Progress {
    embedded: u64,
    passages: u64,
    pending: u64,
    failed: u64,
}

async fn look(after: &After<'_>, documents: &[Uuid]) -> Result<Progress, DbError> {
    let transaction = after.look().await?;
    let row = transaction.query_one(PROGRESS, &[&after.caller().tenant_id, &documents]).await;
    transaction.abandon().await;
    let row = row?;
    let count = |name| Ok::<_, DbError>(u64::try_from(row.try_get::<_, i64>(name)?).unwrap_or_default());
    Ok(Progress {
        embedded: count("embedded")?,
        passages: count("passages")?,
        pending: count("pending")?,
        failed: count("failed")?,
    })
}
