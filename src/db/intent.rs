use std::net::IpAddr;

use uuid::Uuid;

use super::connection::{Connection, Prepared};
use super::context::{self, ContextStatements, Deadlines};
use super::{DbError, Parameter, door};
use crate::identity::Caller;

pub(super) const OPEN_INTENT: &str = include_str!("../../sql/queries/call/open_intent.sql");

/// A call that will change something: committed before it begins, removed by whoever closes it.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The call.
    pub call_id: Uuid,
    /// When it reached the server, as its audit row will say.
    pub started_at: jiff::Timestamp,
    /// What it does.
    pub action: &'static str,
    /// What was called.
    pub resource: String,
    /// Advisory lock key that this process holds.
    pub lease: i64,
    /// The client program.
    pub user_agent: Option<String>,
    /// The client's address.
    pub ip_address: Option<IpAddr>,
}

/// Commits the intent in a transaction of its own. Should it fail, the call's end finds no intent and fails too.
pub(super) async fn announce(
    connection: &Connection,
    statements: &ContextStatements,
    caller: &Caller,
    deadlines: Deadlines,
    statement: &Prepared,
    intent: &Intent,
) -> Result<(), DbError> {
    let user_id = caller.user_id.as_str();
    let parameters: [Parameter<'_>; 9] = [
        &caller.tenant_id,
        &intent.call_id,
        &user_id,
        &intent.action,
        &intent.resource,
        &intent.started_at,
        &intent.lease,
        &intent.user_agent,
        &intent.ip_address,
    ];
    let (begun, set, opened, committed) = tokio::join!(
        door::begin(connection),
        context::set(connection, statements, caller, deadlines),
        connection.query(statement, &parameters),
        door::commit(connection),
    );
    begun?;
    set?;
    opened?;
    committed
}
