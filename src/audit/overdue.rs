use tokio_postgres::Client;

use super::chain;
use crate::db::{DbError, OperatorTransaction};

const LAG: &str = include_str!("../../sql/queries/audit/lag.sql");
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

/// For how many seconds the oldest call that is not sealed yet has been closed; 0 if all are sealed.
///
/// # Errors
/// Any [`DbError`].
pub async fn lag_s(client: &Client) -> Result<f64, DbError> {
    let transaction = OperatorTransaction::begin_snapshot(client).await?;
    let asked = async {
        let sealed_id = chain::last_seal(&transaction).await?.map_or(0, |last| last.last_id);
        let rows = transaction.query(LAG, &[&sealed_id]).await?;
        rows.first().map_or(Ok(0.0), |row| Ok(row.try_get("lag_s")?))
    };
    let lag = asked.await;
    transaction.end(lag).await
}

async fn count(transaction: &OperatorTransaction<'_>) -> Result<i64, DbError> {
    let sealed_id = chain::last_seal(transaction).await?.map_or(0, |last| last.last_id);
    let rows = transaction.query(UNSEALED, &[&sealed_id]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get("overdue_count")?))
}
