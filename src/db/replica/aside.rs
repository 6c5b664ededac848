use crate::db::DbError;

/// Why something is read on the primary although there is a replica.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Aside {
    /// It is not known to be a replica of this primary that can be asked.
    #[error("the replica is away")]
    Away,
    /// It failed again and again, and is left alone for a while.
    #[error("the replica is left alone for a while")]
    Resting,
    /// All connections to it are in use.
    #[error("no connection to the replica is free")]
    Busy,
    /// The connection led to a server that is no replica of this primary, or none any more: one of several behind a name.
    #[error("the connection led to a server that follows another log, or none")]
    Stranger,
    /// It is further behind than it may be.
    #[error("the replica lags behind")]
    Lagging,
    /// The tenant changed something on this server that it has not replayed.
    #[error("the replica lacks the tenant's own last change")]
    OwnWrite,
    /// The replica stopped the statement, which was in the way of what it had to replay.
    #[error("the replica stopped the statement to replay: {0}")]
    Conflict(DbError),
    /// The replica took too long.
    #[error("the replica took too long")]
    Slow,
    /// The replica failed in another way.
    #[error("the replica failed: {0}")]
    Failed(DbError),
    /// The tool refused what it was asked for, by the code of its refusal, though no statement failed.
    #[error("the tool refused there: {0}")]
    Refused(&'static str),
}

impl Aside {
    /// What became of a reading transaction that failed.
    #[must_use]
    pub fn of(error: &DbError) -> Self {
        match error {
            DbError::Conflict(_) => Self::Conflict(error.clone()),
            DbError::TimedOut(_) => Self::Slow,
            _ => Self::Failed(error.clone()),
        }
    }

    /// The name in the figures.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Resting => "resting",
            Self::Busy => "busy",
            Self::Stranger => "stranger",
            Self::Lagging => "lagging",
            Self::OwnWrite => "own_write",
            Self::Conflict(_) => "conflict",
            Self::Slow => "slow",
            Self::Failed(_) => "failed",
            Self::Refused(_) => "refused",
        }
    }

    /// Whether something happened that the log should tell of; the others are told when they begin and end.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.is_failure() || matches!(self, Self::Stranger)
    }

    /// Whether the replica cost the caller time that another search should not spend.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            // That is the caller's.
            Self::Failed(DbError::RefusedValue(_)) => false,
            Self::Conflict(_) | Self::Slow | Self::Failed(_) => true,
            _ => false,
        }
    }
}
