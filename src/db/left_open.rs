//! What a transaction leaves that was dropped in the middle.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::DbError;

/// Ends the transaction that a dropped predecessor left open on this connection, if there is one. A ROLLBACK without one would be a warning
/// in PostgreSQL's log each time: within one a statement begins at another time than its transaction, and in one that has failed nothing can be asked.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "ends what the operator's own transactions left")]
pub(super) async fn end(client: &Client) -> Result<(), DbError> {
    match client.simple_query("SELECT statement_timestamp() <> transaction_timestamp()").await {
        Ok(messages) => {
            let is_open = |message: &SimpleQueryMessage| match message {
                SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
                _ => false,
            };
            if !messages.iter().any(is_open) {
                return Ok(());
            }
        }
        Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(client.batch_execute("ROLLBACK").await?)
}
