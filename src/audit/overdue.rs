use tokio_postgres::Client;

use super::chain;
use crate::db::{DbError, OperatorTransaction};

const UNSEALED: &str = include_str!("../../sql/queries/audit/unsealed.sql");

/// Calls that were closed more than ten minutes ago and are not sealed: no server seals, or a transaction never ends.
///
/// # Errors
/// Any [`DbError`].
pub async fn overdue_rows(client: &Client) -> Result<i64, DbError> {
    let transaction = OperatorTransaction::begin_snapshot(client).await?;
    let counted = count(&transaction).await;
    transaction.end(counted).await
}

async fn count(transaction: &OperatorTransaction<'_>) -> Result<i64, DbError> {
    let sealed_id = chain::last_seal(transaction).await?.map_or(0, |last| last.last_id);
    let rows = transaction.query(UNSEALED, &[&sealed_id]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get("overdue_count")?))
}
