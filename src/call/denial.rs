//! Calls that are denied before there is anything to run: each with its row.

use serde_json::{Map, Value};

use super::record::{Client, Record};
use super::runner::CLOSE_LIMIT;
use super::{Calls, FailureCode, Kind, Outcome, metering};
use crate::db::TenantStatus;
use crate::identity::Caller;

impl Calls {
    /// Denies a call that names no tool of ours, for the record.
    pub async fn refuse_unknown(&self, name: &str, caller: &Caller, client: Client) {
        // The name is the client's text: only its length is kept.
        let details = Map::from_iter([("name_chars".to_owned(), name.chars().count().into())]);
        self.deny(&Kind::unknown(), details, "unknown_tool", caller, client).await;
    }

    /// Denies what would have been a call of a tenant that may not call, for the record.
    pub async fn refuse_tenant(&self, kind: &Kind, status: TenantStatus, caller: &Caller, client: Client) {
        let status = if status == TenantStatus::Suspended { "suspended" } else { "deleted" };
        let details = Map::from_iter([("tenant_status".to_owned(), status.into())]);
        self.deny(kind, details, FailureCode::Forbidden.name(), caller, client).await;
    }

    /// Returns once the row is in the trail, or on disk, whatever becomes of who waits for it.
    async fn deny(&self, kind: &Kind, details: Map<String, Value>, why: &str, caller: &Caller, client: Client) {
        if !self.0.recorder.can_record() {
            return;
        }
        let record = Record::new(kind.action, kind.resource.clone(), caller.clone(), client);
        let call = record.closed(details, Outcome::Denied, why);
        metering::ended(kind.name, Outcome::Denied, &record);
        let recorder = self.0.recorder.clone();
        let closed = self.0.tracker.spawn(async move { recorder.close(call, CLOSE_LIMIT).await });
        drop(closed.await);
    }
}
