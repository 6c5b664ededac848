use tokio_postgres::Client;

use super::Moment;
use crate::db::{DbError, admin};

const CLOCK: &str = include_str!("../../sql/queries/audit/clock.sql");
const LAST_ROW_ID: &str = include_str!("../../sql/queries/audit/last_row_id.sql");
const FENCE: &str = include_str!("../../sql/queries/audit/fence.sql");
const HORIZON: &str = include_str!("../../sql/queries/audit/horizon.sql");

/// A place in the trail up to which it can be sealed, once nobody can insert below it any more.
///
/// A row gets its id after its transaction has its number (xid), and its time of completion after that. So, read in this
/// order: the time, then the last id given out, then a number of our own. A row that was closed before that time has no
/// higher id than that; and a row with such an id is of a transaction with a lower number than ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Every row that was closed before this moment lies within.
    pub until: Moment,
    /// The last id within.
    pub last_id: i64,
    fence: i64,
}

impl Cut {
    /// Takes one; `None` if no id was given out after `sealed_id`. Each question is a statement of its own, for within
    /// one their order is the planner's.
    pub async fn sample(client: &Client, sealed_id: i64) -> Result<Option<Self>, DbError> {
        let until = ask(client, CLOCK).await?;
        let last_id = ask(client, LAST_ROW_ID).await?;
        if last_id < sealed_id {
            // Rows would come with ids that are sealed already.
            return Err(DbError::Other(format!("audit_logs_id_seq was set back to {last_id}, behind row {sealed_id}")));
        }
        if last_id == sealed_id {
            return Ok(None);
        }
        // A number of our own, and not the snapshot's xmax: that one is the highest *ended* number's successor, and
        // transactions with higher numbers may be under way.
        let fence = ask(client, FENCE).await?;
        Ok(Some(Self { until, last_id, fence }))
    }

    /// Whether every transaction with a number below the fence has ended.
    pub async fn is_ready(&self, client: &Client) -> Result<bool, DbError> {
        let oldest: i64 = ask(client, HORIZON).await?;
        Ok(oldest >= self.fence)
    }
}

async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, sql: &'static str) -> Result<T, DbError> {
    let rows = admin::as_owner(client, sql, &[]).await?;
    rows.first().ok_or_else(|| DbError::Other("no row".to_owned()))?.try_get(0).map_err(DbError::from)
}
