use std::borrow::Cow;

use tokio_postgres::error::SqlState;

use super::tls_checks;

/// What went wrong between us and PostgreSQL, by what can be done about it.
///
/// The display is for logs and operators. Clients never see it: the call wrapper turns it into a failure of its own words.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// No connection could be had: the server is down, the pool is exhausted, or it refused us.
    #[error("no database connection: {0}")]
    Unavailable(String),
    /// The statement was stopped by a time-out of the database.
    #[error("the database stopped the statement: {0}")]
    TimedOut(String),
    /// A replica stopped the statement, which was in the way of what it had to replay.
    #[error("in the way of the replica's recovery: {0}")]
    Conflict(String),
    /// A trigger found the tenant at its document or storage quota. The text is ours and fit for the caller.
    #[error("quota reached: {message}")]
    QuotaReached {
        /// What is used and what is allowed.
        message: String,
        /// What the caller can do.
        hint: String,
    },
    /// A value that PostgreSQL refused as bad data (class 22, or a CHECK constraint of ours).
    #[error("refused value: {0}")]
    RefusedValue(String),
    /// Row-level security or a missing grant refused the statement.
    #[error("permission denied: {0}")]
    Forbidden(String),
    /// The call was closed by another meanwhile: its server was taken for dead.
    #[error("the call was already closed: {0}")]
    Closed(String),
    /// The transaction had failed before, so its end was refused.
    #[error("the transaction had already failed")]
    TransactionFailed,
    /// Anything else.
    #[error("database error: {0}")]
    Other(String),
}

/// SQLSTATE of the document quota, raised by `count_new_documents()`.
const DOCUMENT_QUOTA: &str = "BW001";
/// SQLSTATE of the storage quota.
const STORAGE_QUOTA: &str = "BW002";
/// SQLSTATE of a call without its intent, raised by `complete_call()`.
const CALL_CLOSED: &str = "BW004";

impl From<crate::search::postings::Damaged> for DbError {
    fn from(damaged: crate::search::postings::Damaged) -> Self {
        Self::Other(damaged.to_string())
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            if error.is_closed() || has_io_source(&error) || tls_checks::is_handshake(&error) {
                return Self::Unavailable(text_with_sources(&error));
            }
            return Self::Other(text_with_sources(&error));
        };
        let code = db.code();
        let text = match tls_checks::advice_on_refusal(db.message()) {
            Some(advice) => format!("{} ({}): {advice}", plain(db), code.code()),
            None => format!("{} ({})", plain(db), code.code()),
        };
        match code.code() {
            DOCUMENT_QUOTA | STORAGE_QUOTA => {
                Self::QuotaReached { message: db.message().to_owned(), hint: db.hint().unwrap_or_default().to_owned() }
            }
            CALL_CLOSED => Self::Closed(text),
            // A server that was demoted: its successor is found by a new connection.
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Unavailable(text),
            _ if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE => Self::TimedOut(text),
            _ if *code == SqlState::T_R_SERIALIZATION_FAILURE => Self::Conflict(text),
            _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::Forbidden(text),
            _ if *code == SqlState::CHECK_VIOLATION => Self::RefusedValue(text),
            // Class 08 connection, 53 insufficient resources, 57 operator intervention.
            state if ["08", "53", "57"].contains(&&state[..2]) => Self::Unavailable(text),
            state if state.starts_with("22") => Self::RefusedValue(text),
            _ => Self::Other(text),
        }
    }
}

impl From<deadpool::managed::PoolError<Self>> for DbError {
    fn from(error: deadpool::managed::PoolError<Self>) -> Self {
        match error {
            // Whatever keeps a connection from being made, the caller can only try again.
            deadpool::managed::PoolError::Backend(error) => Self::Unavailable(error.reason()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl DbError {
    /// What became of several ways to a database, each with its name: of its kind, if that is the same of all.
    pub(super) fn of_each(mut failures: Vec<(String, Self)>) -> Self {
        if failures.len() < 2 {
            return failures
                .pop()
                .map_or_else(|| Self::Unavailable("there is no way to it".to_owned()), |(_, error)| error);
        }
        let is_of_all = |kind: fn(&Self) -> bool| failures.iter().all(|(_, error)| kind(error));
        let kind = if is_of_all(|error| matches!(error, Self::Other(_))) {
            Self::Other
        } else if is_of_all(|error| matches!(error, Self::Forbidden(_))) {
            Self::Forbidden
        } else if is_of_all(|error| matches!(error, Self::TimedOut(_))) {
            Self::TimedOut
        } else {
            Self::Unavailable
        };
        let told = failures.into_iter().map(|(name, error)| format!("{name}: {}", error.reason()));
        kind(told.collect::<Vec<_>>().join("; "))
    }

    /// Its words without what kind of error it is.
    fn reason(self) -> String {
        match self {
            Self::Unavailable(text)
            | Self::TimedOut(text)
            | Self::Conflict(text)
            | Self::RefusedValue(text)
            | Self::Forbidden(text)
            | Self::Closed(text)
            | Self::Other(text) => text,
            other => other.to_string(),
        }
    }
}

/// The server's message. Of a value that it could not read, and of a text that it could not parse, it quotes the beginning:
/// that is left out, for it may be a caller's, and errors are logged.
fn plain(error: &tokio_postgres::error::DbError) -> Cow<'_, str> {
    let message = error.message();
    let quotes_values = error.code().code().starts_with("22") || *error.code() == SqlState::SYNTAX_ERROR;
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if quotes_values => {
            Cow::Owned(format!("{}…{}", &message[..=first], &message[last..]))
        }
        _ => Cow::Borrowed(message),
    }
}

fn has_io_source(error: &dyn std::error::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

/// tokio-postgres displays only the outermost layer ("error connecting to server"); the reason is beneath.
fn text_with_sources(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    if let Some(advice) = tls_checks::advice(error) {
        text.push_str("; ");
        text.push_str(advice);
    }
    text
}
