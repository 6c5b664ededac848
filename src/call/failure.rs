use serde::Serialize;
use uuid::Uuid;

use super::Problems;
use crate::db::DbError;

/// Why a call failed, by what its caller can do about it. The display is what the client reads: no SQL, no other
/// tenant's names, no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The arguments cannot be used; nothing was done.
    #[error("invalid_input: {0}. Nothing was done: correct the arguments and call again.")]
    InvalidInput(Problems),
    /// What was asked for does not exist in the caller's tenant.
    #[error("not_found: {0}")]
    NotFound(String),
    /// What was asked for does not fit what is there now.
    #[error("conflict: {0} Nothing was done.")]
    Conflict(String),
    /// The caller may not do this.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The tenant's document or storage quota is reached.
    #[error("quota_exceeded: {0} Nothing was stored.")]
    QuotaExceeded(String),
    /// A budget does not allow it.
    #[error("budget_exceeded: {told}")]
    BudgetExceeded {
        /// Which, and when it may.
        told: String,
        /// Whether it is only held by calls under way.
        is_held: bool,
    },
    /// The tenant calls more often than its operator allows.
    #[error(
        "rate_limited: your organisation makes more calls than it may. Nothing was done: try again in {retry_after_s} s."
    )]
    RateLimited {
        /// When trying again makes sense.
        retry_after_s: u32,
    },
    /// More calls wait than can be served soon.
    #[error(
        "overloaded: the server has more calls than it can take. Nothing was done: try again in {retry_after_s} s."
    )]
    Overloaded {
        /// When trying again makes sense.
        retry_after_s: u32,
    },
    /// The server cannot do it right now.
    #[error("unavailable: {reason} Nothing was done: try again in {retry_after_s} s.")]
    Unavailable {
        /// What is in the way.
        reason: &'static str,
        /// When trying again makes sense.
        retry_after_s: u32,
    },
    /// The call's time was up.
    #[error(
        "timeout: the call took longer than {limit_s} s and was stopped; nothing was kept. Ask for less, or try again."
    )]
    Timeout {
        /// The call's deadline.
        limit_s: u64,
    },
    /// The client took the call back. It is told nothing more (MCP, Cancellation).
    #[error("cancelled: the call was taken back; nothing was kept.")]
    Cancelled,
    /// The database went away while the call was being committed, and has not come back to be asked.
    #[error(
        "outcome_unknown: the database went away while the call was being kept, so whether it was is not known yet. Repeat it with the same idempotency_key, or look the call id {call_id} up in the audit trail later."
    )]
    OutcomeUnknown {
        /// Finds the call in the audit trail and the logs.
        call_id: Uuid,
    },
    /// A fault of ours.
    #[error(
        "internal: the server failed to carry out the call; nothing was kept. Tell the operator the call id {call_id}."
    )]
    Internal {
        /// Finds the call in the audit trail and the logs.
        call_id: Uuid,
    },
}

/// The stable name of a failure: what audit rows, metrics and clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each stands for the failure of the same name")]
pub enum FailureCode {
    InvalidInput,
    NotFound,
    Conflict,
    Forbidden,
    QuotaExceeded,
    BudgetExceeded,
    RateLimited,
    Overloaded,
    Unavailable,
    Timeout,
    Cancelled,
    OutcomeUnknown,
    Internal,
}

impl FailureCode {
    /// The name, as in `audit_logs.error_message`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Forbidden => "forbidden",
            Self::QuotaExceeded => "quota_exceeded",
            Self::BudgetExceeded => "budget_exceeded",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Internal => "internal",
        }
    }
}

impl Failure {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> FailureCode {
        match self {
            Self::InvalidInput(_) => FailureCode::InvalidInput,
            Self::NotFound(_) => FailureCode::NotFound,
            Self::Conflict(_) => FailureCode::Conflict,
            Self::Forbidden(_) => FailureCode::Forbidden,
            Self::QuotaExceeded(_) => FailureCode::QuotaExceeded,
            Self::BudgetExceeded { .. } => FailureCode::BudgetExceeded,
            Self::RateLimited { .. } => FailureCode::RateLimited,
            Self::Overloaded { .. } => FailureCode::Overloaded,
            Self::Unavailable { .. } => FailureCode::Unavailable,
            Self::Timeout { .. } => FailureCode::Timeout,
            Self::Cancelled => FailureCode::Cancelled,
            Self::OutcomeUnknown { .. } => FailureCode::OutcomeUnknown,
            Self::Internal { .. } => FailureCode::Internal,
        }
    }

    /// What a database error means to the caller of `call_id`. The error itself goes to the log, here and only here.
    #[must_use]
    pub fn from_db(error: &DbError, call_id: Uuid) -> Self {
        match error {
            DbError::QuotaReached { message, hint } => Self::QuotaExceeded(format!("{message}. {hint}")),
            DbError::Unavailable(_) => {
                tracing::warn!(%call_id, %error, "the database is not available to a call");
                Self::Unavailable { reason: "the database cannot be reached or is overloaded.", retry_after_s: 2 }
            }
            DbError::TimedOut(_) => {
                tracing::warn!(%call_id, %error, "the database stopped a call's statement");
                Self::Unavailable { reason: "the database took too long.", retry_after_s: 2 }
            }
            DbError::Closed(_) => {
                tracing::warn!(%call_id, %error, "a call was closed by another");
                Self::Unavailable { reason: "the server lost its hold on the database.", retry_after_s: 2 }
            }
            DbError::RefusedValue(_)
            | DbError::Forbidden(_)
            | DbError::TransactionFailed
            | DbError::Conflict(_)
            | DbError::Other(_) => {
                tracing::error!(%call_id, %error, "a call failed");
                Self::Internal { call_id }
            }
        }
    }
}
