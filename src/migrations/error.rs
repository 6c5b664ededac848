//! What can go wrong; each display says what to do about it.

use std::fmt;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::failure::FailedStatement;
use super::files::InvalidFiles;

/// Why a migration command did nothing, or not everything.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The files are no valid list; a fault of the build.
    #[error(transparent)]
    Files(#[from] InvalidFiles),

    /// golang-migrate failed in the middle of a migration and marked the version.
    #[error(
        "the database is marked dirty at version {version}: golang-migrate failed while moving to it; \
         repair the schema by hand, then run `migrate force` with the version that it is really at"
    )]
    Dirty {
        /// The version that was being moved to; -1 when that was the empty schema.
        version: i64,
    },

    /// The database is ahead of this binary.
    #[error(
        "this database was migrated by a newer bailiwick: it is at version {version}, this binary \
         knows versions up to {newest}; run the newer binary, or go down with it first"
    )]
    NewerDatabase {
        /// The database's version.
        version: i64,
        /// The newest version of this binary.
        newest: i64,
    },

    /// The version table holds something that neither tool writes.
    #[error(
        "public.schema_migrations does not look like golang-migrate's table ({reason}); \
         does another application use this database? Give bailiwick a database of its own"
    )]
    ForeignTable {
        /// What is unexpected.
        reason: String,
    },

    /// The version table exists, but this role may not read it.
    #[error(
        "this role may not read public.schema_migrations; connect as the administrator who migrated \
         this database"
    )]
    Unreadable,

    /// A migration was edited after it was applied.
    #[error(
        "{file} was edited after it was applied (sha256 {applied} then, {embedded} now): undo the \
         edit and put the change in a new migration; if the edit changes nothing in the schema, \
         accept it with: delete from public.bailiwick_migrations where version = {version}"
    )]
    Edited {
        /// The up file.
        file: String,
        /// Its version.
        version: i64,
        /// The checksum in the history.
        applied: String,
        /// The checksum of the file in this binary.
        embedded: String,
    },

    /// More was to be undone than there is.
    #[error("cannot go down {requested}: {applied} applied; ask for {applied} at most")]
    TooFewApplied {
        /// How many to go down.
        requested: usize,
        /// How many there are.
        applied: usize,
    },

    /// Another session kept the migration lock.
    #[error(
        "another migration of this database is running: the lock was not free within {waited:?}, \
         held by {}; wait for it to end and retry",
        described(.holder.as_ref())
    )]
    LockWait {
        /// How long was waited.
        waited: Duration,
        /// Who holds it; none if it was let go just then, or is not visible.
        holder: Option<LockHolder>,
    },

    /// A statement of a migration failed; the transaction is rolled back.
    #[error(transparent)]
    Statement(Box<FailedStatement>),

    /// A statement of a migration did not get its lock, however often it was tried.
    #[error(
        "{failure}; it was tried {tries} times in {} s: a transaction that stays open holds a table that it needs. \
         `bailiwick doctor` names long ones; end it, and run the command again",
        .waited.as_secs()
    )]
    Locked {
        /// The last try's.
        failure: Box<FailedStatement>,
        /// How often it was tried.
        tries: u32,
        /// Since the first try.
        waited: Duration,
    },

    /// A migration ended the transaction that it runs in.
    #[error(
        "{file} ended the transaction that it runs in, so it may be applied in part and is not \
         recorded: check the schema, and take the COMMIT or ROLLBACK out of the file"
    )]
    EndedTransaction {
        /// The file.
        file: String,
    },

    /// The connection was lost in a migration.
    #[error(
        "the connection was lost during {file}: the server rolls it back unless it was about to \
         commit; run the command again, which continues from the version that the database is at"
    )]
    Interrupted {
        /// The file.
        file: String,
        /// The loss.
        source: tokio_postgres::Error,
    },

    /// The runner's own statements failed.
    #[error("could not {doing}")]
    Database {
        /// What it was about to do.
        doing: &'static str,
        /// The failure.
        source: tokio_postgres::Error,
    },
}

impl MigrationError {
    /// Whether the role may not do what it was about to.
    #[must_use]
    pub fn is_want_of_power(&self) -> bool {
        match self {
            Self::Statement(failed) => failed.sqlstate == SqlState::INSUFFICIENT_PRIVILEGE.code(),
            Self::Database { source, .. } => source.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            _ => false,
        }
    }

    /// For `map_err`: the runner's own statement failed.
    pub(super) fn database(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}

/// A session that holds the migration lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Its backend, for `pg_terminate_backend`.
    pub pid: i32,
    /// Its login role, when visible.
    pub user: Option<String>,
    /// Its application name, when visible and set.
    pub application: Option<String>,
    /// Its address; none over a unix socket.
    pub address: Option<String>,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server process {}", self.pid)?;
        for (label, value) in [("user", &self.user), ("application", &self.application), ("address", &self.address)] {
            if let Some(value) = value {
                write!(f, ", {label} {value}")?;
            }
        }
        Ok(())
    }
}

fn described(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(|| "an unknown session".to_owned(), LockHolder::to_string)
}
