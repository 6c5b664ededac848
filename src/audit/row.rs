use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Entry, Hash, Moment};
use crate::db::DbError;

/// Begins what is hashed of a row, so that it is the hash of nothing else.
const DOMAIN: &[u8] = b"bailiwick audit row v1\0";

/// A row of `audit_logs` with all that is sealed of it, as `audit/rows.sql` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "columns of the same name")]
pub struct AuditRow {
    pub id: i64,
    pub timestamp: Moment,
    pub completed_at: Moment,
    pub tenant_id: Uuid,
    pub user_id: String,
    pub call_id: Uuid,
    pub action: String,
    pub resource: Option<String>,
    pub resource_id: Option<Uuid>,
    /// The text that PostgreSQL writes of the jsonb, for no reader of JSON gives back every number as it was.
    pub details: String,
    pub outcome: String,
    pub success: bool,
    pub error_message: Option<String>,
    /// The text that PostgreSQL writes of the inet.
    pub ip_address: Option<String>,
    pub user_agent: Option<String>,
    pub duration_ms: Option<i32>,
}

impl AuditRow {
    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        // By place, which is quicker than by name for a million rows.
        Ok(Self {
            id: row.try_get(0)?,
            timestamp: row.try_get(1)?,
            completed_at: row.try_get(2)?,
            tenant_id: row.try_get(3)?,
            user_id: row.try_get(4)?,
            call_id: row.try_get(5)?,
            action: row.try_get(6)?,
            resource: row.try_get(7)?,
            resource_id: row.try_get(8)?,
            details: row.try_get(9)?,
            outcome: row.try_get(10)?,
            success: row.try_get(11)?,
            error_message: row.try_get(12)?,
            ip_address: row.try_get(13)?,
            user_agent: row.try_get(14)?,
            duration_ms: row.try_get(15)?,
        })
    }

    /// The leaf that stands for it in a seal.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry { id: self.id, timestamp: self.timestamp, body_hash: self.body_hash() }
    }

    /// Hash of every column but id and timestamp: each a byte that says whether it is there, then its length (eight
    /// bytes, big-endian) and itself, so that no two rows make the same bytes.
    #[must_use]
    pub fn body_hash(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix(DOMAIN);
        let mut field = |bytes: Option<&[u8]>| match bytes {
            None => hash.update([0]),
            Some(bytes) => {
                hash.update([1]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(bytes);
            }
        };
        field(Some(&self.completed_at.micros().to_be_bytes()));
        field(Some(self.tenant_id.as_bytes()));
        field(Some(self.user_id.as_bytes()));
        field(Some(self.call_id.as_bytes()));
        field(Some(self.action.as_bytes()));
        field(self.resource.as_deref().map(str::as_bytes));
        field(self.resource_id.as_ref().map(|id| id.as_bytes().as_slice()));
        field(Some(self.details.as_bytes()));
        field(Some(self.outcome.as_bytes()));
        field(Some(&[u8::from(self.success)]));
        field(self.error_message.as_deref().map(str::as_bytes));
        field(self.ip_address.as_deref().map(str::as_bytes));
        field(self.user_agent.as_deref().map(str::as_bytes));
        field(self.duration_ms.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
        Hash::of(hash)
    }
}
