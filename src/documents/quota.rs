use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const QUOTA: &str = include_str!("../../sql/queries/documents/quota.sql");

/// So many as may be stored for a tenant at once, and some more.
const BATCHES_AT_ONCE: i64 = 64;

/// What the tenant stores and may store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// Documents stored.
    pub documents_used: i64,
    /// Documents allowed; absent if unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents_limit: Option<i64>,
    /// Bytes of titles and contents stored.
    pub storage_used_bytes: i64,
    /// Bytes allowed; absent if unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_limit_bytes: Option<i64>,
}

impl Quota {
    /// Reads the tenant's quota and what counts against it.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn read(transaction: &TenantTransaction, tenant_id: TenantId) -> Result<Self, DbError> {
        let row = transaction.query_one(QUOTA, &[&tenant_id]).await?;
        Ok(Self {
            documents_used: row.try_get("document_count")?,
            documents_limit: row.try_get::<_, Option<i32>>("max_documents")?.map(i64::from),
            storage_used_bytes: row.try_get("storage_bytes")?,
            storage_limit_bytes: row.try_get::<_, Option<i32>>("max_storage_mb")?.map(|mb| i64::from(mb) * 1_048_576),
        })
    }
}

impl Quota {
    /// Whether so much more is so far from every limit that nobody needs to be kept from it meanwhile. Should it not fit in the end
    /// after all, the trigger `count_new_documents()` refuses it.
    pub(super) fn is_ample(&self, documents: i64, bytes: i64) -> bool {
        let fits = |used: i64, more: i64, limit: Option<i64>| {
            limit.is_none_or(|limit| used.saturating_add(more.saturating_mul(BATCHES_AT_ONCE)) <= limit)
        };
        fits(self.documents_used, documents, self.documents_limit)
            && fits(self.storage_used_bytes, bytes, self.storage_limit_bytes)
    }
}

/// What is left of a quota: under the lock that keeps others from it, or as it is thought to be by then.
#[derive(Debug)]
pub struct Room(Option<Quota>);

/// Why something finds no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// What is used and what is allowed.
    pub message: String,
    /// What the caller can do.
    pub hint: String,
}

impl Room {
    /// No bound.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// All that a quota leaves.
    #[must_use]
    pub fn of(quota: &Quota) -> Self {
        Self(Some(quota.clone()))
    }

    /// Takes so much.
    ///
    /// # Errors
    /// [`Full`], in the words of the trigger `count_new_documents()`, if it cannot be had; then nothing is taken.
    pub fn take(&mut self, documents: i64, bytes: i64) -> Result<(), Full> {
        let Some(quota) = &mut self.0 else { return Ok(()) };
        let (count, size) = (quota.documents_used + documents, quota.storage_used_bytes + bytes);
        let full = |message, limit| {
            let hint = format!("Delete documents, or ask the operator for a larger {limit}.");
            Err(Full { message, hint })
        };
        if let Some(limit) = quota.documents_limit.filter(|limit| documents > 0 && count > *limit) {
            let message = format!("the tenant holds {} documents and may hold {limit}", quota.documents_used);
            return full(message, "max_documents");
        }
        if let Some(limit) = quota.storage_limit_bytes.filter(|limit| bytes > 0 && size > *limit) {
            let (used, mib) = (quota.storage_used_bytes, limit / 1_048_576);
            let message =
                format!("the tenant's documents take {used} bytes, this would add {bytes}, and {mib} MiB are allowed");
            return full(message, "max_storage_mb");
        }
        (quota.documents_used, quota.storage_used_bytes) = (count, size);
        Ok(())
    }
}
