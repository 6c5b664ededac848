use serde::{Deserialize, Serialize};

use super::FailureCode;

/// How a call ended, as `audit_logs.outcome` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Its work was kept and its answer may be told.
    Ok,
    /// It failed; nothing was kept.
    Error,
    /// It was refused.
    Denied,
    /// Its client took it back.
    Cancelled,
    /// Its time was up.
    Timeout,
    /// A fault of ours stopped it.
    Panic,
    /// Its server was gone before it ended.
    Interrupted,
}

impl Outcome {
    /// How a failure of that code counts.
    #[must_use]
    pub const fn of(code: FailureCode) -> Self {
        match code {
            FailureCode::Forbidden
            | FailureCode::QuotaExceeded
            | FailureCode::BudgetExceeded
            | FailureCode::RateLimited
            | FailureCode::Overloaded => Self::Denied,
            FailureCode::Timeout => Self::Timeout,
            FailureCode::Cancelled => Self::Cancelled,
            FailureCode::InvalidInput
            | FailureCode::NotFound
            | FailureCode::Unavailable
            | FailureCode::OutcomeUnknown
            | FailureCode::Internal => Self::Error,
        }
    }
}
