use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const QUOTA: &str = include_str!("../../sql/queries/documents/quota.sql");

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
