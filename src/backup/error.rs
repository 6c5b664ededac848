use std::path::{Path, PathBuf};

use crate::audit::AuditError;
use crate::db::DbError;
use crate::migrations::{InvalidFiles, MigrationError};
use crate::tenants::purge::PurgeError;
use crate::tenants::transfer::TransferError;

/// Why there is no backup, or nothing was restored. The display says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BackupError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Migration(#[from] MigrationError),
    #[error("{0}")]
    Files(#[from] InvalidFiles),
    #[error("{0}")]
    Audit(#[from] AuditError),
    #[error("{0}")]
    Transfer(#[from] TransferError),
    #[error("{0}")]
    Purge(#[from] PurgeError),
    #[error("cannot {doing} {}: {source}{}", path.display(), full(source))]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// One of PostgreSQL's programs failed; its own words.
    #[error("{program} failed: {told}{}", if told.contains("No space left on device") { FULL } else { "" })]
    Program { program: &'static str, told: String },
    /// It was not even begun, or not accepted.
    #[error("{0}")]
    Refused(String),
    /// A signal came.
    #[error("it was broken off")]
    BrokenOff,
}

const FULL: &str = ". Make room on that disk, or take another; nothing of it was kept";

fn full(error: &std::io::Error) -> &'static str {
    if error.kind() == std::io::ErrorKind::StorageFull { FULL } else { "" }
}

impl BackupError {
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}

/// Says which file it was.
pub(super) trait FileContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, BackupError>;
}

impl<T> FileContext<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, BackupError> {
        self.map_err(|source| BackupError::File { doing, path: path.to_owned(), source })
    }
}
