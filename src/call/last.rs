use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::db::DbError;

/// A statement that an answer still needs and that does not change what its audit row tells: it travels with that row and COMMIT, which
/// saves the call a round trip. Nobody stops it any more, so it must be small, and the answer must be of use without it.
pub struct Last<T> {
    /// The statement.
    pub sql: &'static str,
    /// Its parameters.
    pub parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    /// Puts its rows into the answer; none, where they were lost with their connection though the call was committed.
    pub apply: Apply<T>,
}

/// Puts rows into an answer.
pub type Apply<T> = Box<dyn FnOnce(&mut T, &[Row]) -> Result<(), DbError> + Send>;

impl<T> Last<T> {
    /// Puts the rows into an answer that is committed, which trouble or a panic here does not change.
    pub(super) fn complete(self, output: &mut T, rows: &[Row]) {
        let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.apply)(output, rows)));
        match applied {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "an answer lacks what was read last"),
            // The panic hook has told what and where.
            Err(_panic) => tracing::error!("an answer lacks what was read last"),
        }
    }
}
