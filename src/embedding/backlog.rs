//! What of a tenant's documents still waits for its embedding.

use jiff::Timestamp;

use crate::call::Calls;
use crate::db::DbError;
use crate::identity::Caller;

const BACKLOG: &str = include_str!("../../sql/queries/embedding/backlog.sql");

/// Documents that are not embedded.
#[derive(Debug, Clone)]
pub struct Backlog {
    /// That wait.
    pub pending: u64,
    /// That were given up.
    pub failed: u64,
    /// What most of them ended with last.
    pub error: Option<String>,
    /// Whether any server embeds this database's documents.
    pub is_embedded: bool,
}

impl Backlog {
    /// Looks at what the caller's tenant had written by `until`; of failures only at those written since `since`. Both are moments of
    /// the database's clock.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn look(calls: &Calls, caller: &Caller, since: Timestamp, until: Timestamp) -> Result<Self, DbError> {
        let transaction = calls.door().open(caller).await?;
        let row = transaction.query_one(BACKLOG, &[&caller.tenant_id, &since, &until]).await;
        transaction.abandon().await;
        let row = row?;
        let count = |name| Ok::<_, DbError>(u64::try_from(row.try_get::<_, i64>(name)?).unwrap_or_default());
        Ok(Self {
            pending: count("pending")?,
            failed: count("failed")?,
            error: row.try_get("error")?,
            is_embedded: row.try_get("is_embedded")?,
        })
    }
}
