use serde_json::{Map, Value};
use uuid::Uuid;

use super::FailureCode;
use crate::db::{DbError, Door, TenantTransaction};
use crate::identity::Caller;

const COMPLETE: &str = include_str!("../../sql/queries/call/complete.sql");
const CLOSE: &str = include_str!("../../sql/queries/call/close.sql");

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

/// One row of the audit trail, but for tenant and user, which the database takes from the transaction.
pub(super) struct AuditRow<'a> {
    pub call_id: Uuid,
    pub started_at: jiff::Timestamp,
    pub action: &'a str,
    pub resource: &'a str,
    pub resource_id: Option<Uuid>,
    pub details: Map<String, Value>,
    pub outcome: Outcome,
    pub error: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub duration_ms: i32,
}

/// Writes the row of a call that succeeded as its transaction's last statement and commits.
pub(super) async fn complete(transaction: TenantTransaction, row: &AuditRow<'_>) -> Result<(), DbError> {
    let details = Value::Object(row.details.clone());
    let has_intent = false;
    let ip_address: Option<std::net::IpAddr> = None;
    transaction
        .finish(
            COMPLETE,
            &[
                &row.call_id,
                &row.started_at,
                &has_intent,
                &row.action,
                &row.resource,
                &row.resource_id,
                &details,
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
    let calls = serde_json::json!([{
        "call_id": row.call_id, "user_id": caller.user_id.as_str(), "started_at": row.started_at, "action": row.action,
        "resource": row.resource, "details": row.details, "outcome": row.outcome.name(), "error_message": row.error,
        "user_agent": row.user_agent, "duration_ms": row.duration_ms,
    }]);
    door.open(caller).await?.finish(CLOSE, &[&calls]).await?;
    Ok(())
}
