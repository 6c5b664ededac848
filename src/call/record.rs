use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Action, Call, FailureCode, Outcome, Progress};
use crate::db::{Intent, TenantTransaction};
use crate::identity::{Caller, TenantId};

/// The client program, as it introduced itself.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Name and version, for example `claude-ai/0.1.0`: `audit_logs.user_agent`.
    pub user_agent: Option<String>,
    /// Where it called from, if it came over a network: `audit_logs.ip_address`.
    pub ip_address: Option<IpAddr>,
    /// Where it hears how far its call has come, if it wants to.
    pub progress: Progress,
}

/// What is known of a call from its start: its row says so, whoever writes it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub call_id: Uuid,
    pub caller: Caller,
    pub action: Action,
    pub resource: String,
    pub client: Client,
    pub started: Instant,
    pub started_at: Timestamp,
    has_intent: Arc<AtomicBool>,
}

/// The row of a call that did not succeed: what `close_calls()` reads, and what is spooled while it cannot be called.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClosedCall {
    pub tenant_id: TenantId,
    pub call_id: Uuid,
    pub user_id: String,
    pub started_at: Timestamp,
    pub action: String,
    pub resource: String,
    pub details: Map<String, Value>,
    pub outcome: Outcome,
    pub error_message: String,
    pub user_agent: Option<String>,
    pub ip_address: Option<IpAddr>,
    pub duration_ms: i32,
}

impl Record {
    pub(super) fn new(action: Action, resource: String, caller: Caller, client: Client) -> Self {
        // To the microsecond, which is what PostgreSQL keeps: with the call's id it is the row's key.
        let started_at = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap_or_default();
        Self {
            call_id: Uuid::now_v7(),
            caller,
            action,
            resource,
            client,
            started: Instant::now(),
            started_at,
            has_intent: Arc::default(),
        }
    }

    /// The call changes something or spends money: its transactions begin with its intent, and its end takes that away.
    pub(super) fn needs_intent(&self) {
        self.has_intent.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_intent(&self) -> bool {
        self.has_intent.load(Ordering::Relaxed)
    }

    /// The call as its tool sees it.
    pub(super) fn call<'a>(&'a self, transaction: &'a TenantTransaction, reader: &'a TenantTransaction) -> Call<'a> {
        Call { id: self.call_id, caller: &self.caller, started: self.started, transaction, reader }
    }

    pub(super) fn duration_ms(&self) -> i32 {
        i32::try_from(self.started.elapsed().as_millis()).unwrap_or(i32::MAX)
    }

    pub(super) fn intent(&self, lease: i64) -> Intent {
        Intent {
            call_id: self.call_id,
            started_at: self.started_at,
            action: self.action.name(),
            resource: self.resource.clone(),
            lease,
            user_agent: self.client.user_agent.clone(),
            ip_address: self.client.ip_address,
        }
    }

    pub(super) fn closed(&self, details: Map<String, Value>, outcome: Outcome, error: &str) -> ClosedCall {
        ClosedCall {
            tenant_id: self.caller.tenant_id,
            call_id: self.call_id,
            user_id: self.caller.user_id.as_str().to_owned(),
            started_at: self.started_at,
            action: self.action.name().to_owned(),
            resource: self.resource.clone(),
            details,
            outcome,
            error_message: error.to_owned(),
            user_agent: self.client.user_agent.clone(),
            ip_address: self.client.ip_address,
            duration_ms: self.duration_ms(),
        }
    }

    pub(super) fn failed(&self, details: Map<String, Value>, code: FailureCode) -> ClosedCall {
        self.closed(details, Outcome::of(code), code.name())
    }
}
