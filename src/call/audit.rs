use serde_json::{Map, Value};
use uuid::Uuid;

use super::FailureCode;
use crate::db::{DbError, Door, TenantTransaction};
use crate::identity::Caller;

const COMPLETE: &str = include_str!("../../sql/queries/call/complete.sql");

/// How a call ended, as `audit_logs.outcome` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Ok,
    Error,
    Denied,
    Timeout,
    Panic,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
        }
    }

    /// How a failure of that code counts.
    pub(super) const fn of(code: FailureCode) -> Self {
        match code {
            FailureCode::Forbidden | FailureCode::QuotaExceeded | FailureCode::BudgetExceeded => Self::Denied,
            FailureCode::Timeout => Self::Timeout,
            FailureCode::InvalidInput | FailureCode::NotFound | FailureCode::Unavailable | FailureCode::Internal => {
                Self::Error
            }
        }
    }
}

/// One row of the audit trail, but for tenant, user and time, which the database takes from the transaction.
pub(super) struct AuditRow<'a> {
    pub call_id: Uuid,
    pub action: &'a str,
    pub resource: &'a str,
    pub resource_id: Option<Uuid>,
    pub details: Map<String, Value>,
    pub outcome: Outcome,
    pub error: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub duration_ms: i32,
}

/// Writes the row as the transaction's last statement and commits.
pub(super) async fn complete(transaction: TenantTransaction, row: &AuditRow<'_>) -> Result<(), DbError> {
    let details = Value::Object(row.details.clone());
    let outcome = row.outcome.name();
    // Intents, which close over a call that spends or changes, come with the fence; so does the caller's address with HTTP.
    let has_intent = false;
    let ip_address: Option<std::net::IpAddr> = None;
    transaction
        .finish(
            COMPLETE,
            &[
                &row.call_id,
                &has_intent,
                &row.action,
                &row.resource,
                &row.resource_id,
                &details,
                &outcome,
                &row.error,
                &row.user_agent,
                &ip_address,
                &row.duration_ms,
            ],
        )
        .await?;
    Ok(())
}

/// Writes the row of a call that failed, on a transaction of its own.
pub(super) async fn record(door: &Door, caller: &Caller, row: &AuditRow<'_>) -> Result<(), DbError> {
    complete(door.open(caller).await?, row).await
}
