use std::path::{Path, PathBuf};

use crate::db::DbError;

/// Why a tenant was not exported or imported.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TransferError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: {reason}", path.display())]
    Line { path: PathBuf, line: u64, reason: String },
    #[error("{0}")]
    Refused(String),
}

/// Says which file it was.
pub(super) trait FileContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, TransferError>;
}

impl<T> FileContext<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, TransferError> {
        self.map_err(|source| TransferError::File { doing, path: path.to_owned(), source })
    }
}
