use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::db::DbError;

/// A statement that an answer still needs and that does not change what its audit row tells: it travels with that row and COMMIT, which
/// saves the call a round trip.
pub struct Last<T> {
    /// The statement.
    pub sql: &'static str,
    /// Its parameters.
    pub parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    /// Puts its rows into the answer.
    pub apply: Box<dyn FnOnce(&mut T, &[Row]) -> Result<(), DbError> + Send>,
}
