use std::time::Duration;

use serde_json::Value;

use super::connection::{Connection, Prepared};
use super::{DbError, Parameter};
use crate::identity::Caller;

const SET_CONTEXT: &str = include_str!("../../sql/queries/call/set_context.sql");
const TENANT_STATE: &str = include_str!("../../sql/queries/tenants/state.sql");

/// How soon a statement ends whose connection a pooler has closed.
const PEER_CHECK: Duration = Duration::from_millis(250);

/// Time bounds that the database enforces inside a call. They nest: lock < statement < the call's own deadline.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// `statement_timeout`.
    pub statement: Duration,
    /// `lock_timeout`.
    pub lock: Duration,
    /// `idle_in_transaction_session_timeout`: ends a transaction whose server died.
    pub idle: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { statement: Duration::from_secs(8), lock: Duration::from_secs(2), idle: Duration::from_secs(15) }
    }
}

/// Whether a tenant may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStatus {
    /// Calls are served.
    Active,
    /// Calls are refused until an operator activates the tenant.
    Suspended,
    /// Gone, or never there.
    Deleted,
}

impl TenantStatus {
    /// From the column `tenants.status`; anything unknown is treated as deleted, so that it fails closed.
    #[must_use]
    pub fn from_column(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            _ => Self::Deleted,
        }
    }
}

/// The caller's tenant as its own transaction sees it.
#[derive(Debug, Clone)]
pub struct TenantState {
    /// Whether it may call.
    pub status: TenantStatus,
    /// `tenants.settings`, a JSON object.
    pub settings: Value,
    /// Keys the HMAC that stands for a query in the audit trail.
    pub audit_key: Vec<u8>,
    /// Chunks that it has stored.
    pub chunk_count: i64,
    /// Whether the transaction can only read: its server is a standby, or was taken out of service.
    pub is_read_only: bool,
}

/// Sets tenant, user, time-outs and planner settings for the transaction, in one statement, and reads the tenant back.
///
/// The statements are prepared before, so that polling this future once sends both.
pub(super) async fn establish(
    connection: &Connection,
    statements: &ContextStatements,
    caller: &Caller,
    deadlines: Deadlines,
) -> Result<TenantState, DbError> {
    let tenant: [Parameter<'_>; 1] = [&caller.tenant_id];
    let (set, state) = tokio::join!(
        set(connection, statements, caller, deadlines),
        connection.query_opt(&statements.tenant_state, &tenant),
    );
    let is_read_only = set?;
    Ok(match state? {
        Some(row) => TenantState {
            status: TenantStatus::from_column(row.try_get("status")?),
            settings: row.try_get("settings")?,
            audit_key: row.try_get("audit_key")?,
            chunk_count: row.try_get("chunk_count")?,
            is_read_only,
        },
        None => TenantState {
            status: TenantStatus::Deleted,
            settings: Value::Null,
            audit_key: Vec::new(),
            chunk_count: 0,
            is_read_only,
        },
    })
}

/// The context alone; whether the transaction can only read.
pub(super) async fn set(
    connection: &Connection,
    statements: &ContextStatements,
    caller: &Caller,
    deadlines: Deadlines,
) -> Result<bool, DbError> {
    let tenant_id = caller.tenant_id.to_string();
    let (statement, lock, idle) = (millis(deadlines.statement), millis(deadlines.lock), millis(deadlines.idle));
    let user_id = caller.user_id.as_str();
    let check = connection.is_pooled().then(|| millis(PEER_CHECK));
    let settings: [Parameter<'_>; 6] = [&tenant_id, &user_id, &statement, &lock, &idle, &check];
    Ok(connection.query_one(&statements.set_context, &settings).await?.try_get("is_read_only")?)
}

/// The statements that open every transaction, prepared once a connection.
pub(super) struct ContextStatements {
    set_context: Prepared,
    tenant_state: Prepared,
}

impl ContextStatements {
    pub(super) async fn prepare(connection: &Connection) -> Result<Self, DbError> {
        let (set_context, tenant_state) =
            tokio::try_join!(connection.prepare_cached(SET_CONTEXT), connection.prepare_cached(TENANT_STATE))?;
        Ok(Self { set_context, tenant_state })
    }
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
