use std::path::{Path, PathBuf};

use super::Month;
use crate::db::DbError;

/// Why the trail could not be sealed, checked, exported or retired.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AuditError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} is no Ed25519 {what}: {reason}", path.display())]
    Key { path: PathBuf, what: &'static str, reason: String },
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("{}, line {line}: {reason}", path.display())]
    Archive { path: PathBuf, line: u64, reason: String },
    #[error(
        "{archives} has {held} of the {rows} rows of {month}: those that came later need a file of their own (`bailiwick audit export --month {month}` to another file)"
    )]
    Outgrown { archives: String, month: Month, held: i64, rows: i64 },
    #[error("{0}")]
    Refused(String),
}

/// Says which file it was.
pub(super) trait FileContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, AuditError>;
}

impl<T> FileContext<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, AuditError> {
        self.map_err(|source| AuditError::File { doing, path: path.to_owned(), source })
    }
}
