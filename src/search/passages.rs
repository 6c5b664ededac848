use serde_json::Value;

use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const PASSAGES: &str = include_str!("../../sql/queries/search/passages.sql");

/// A chunk's text with its document.
#[derive(Debug, Clone)]
pub struct Passage {
    /// The chunk.
    pub chunk_no: i32,
    /// Its document.
    pub document_id: DocumentId,
    /// The document's title.
    pub title: String,
    /// The document's source.
    pub source: Option<String>,
    /// The document's metadata, a JSON object.
    pub metadata: Value,
    /// The document's language, an ISO 639 code.
    pub language: String,
    /// The chunk's text.
    pub text: String,
}

/// Reads passages, in the order of the chunk numbers.
pub(super) async fn fetch(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    chunk_nos: &[i32],
) -> Result<Vec<Passage>, DbError> {
    if chunk_nos.is_empty() {
        return Ok(Vec::new());
    }
    let rows = transaction.query(PASSAGES, &[&tenant_id, &chunk_nos]).await?;
    rows.iter()
        .map(|row| {
            Ok(Passage {
                chunk_no: row.try_get("chunk_no")?,
                document_id: row.try_get("document_id")?,
                title: row.try_get("title")?,
                source: row.try_get("source")?,
                metadata: row.try_get("metadata")?,
                language: row.try_get("language")?,
                text: row.try_get("passage")?,
            })
        })
        .collect()
}
