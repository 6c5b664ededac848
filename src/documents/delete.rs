use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const DELETE: &str = include_str!("../../sql/queries/documents/delete.sql");

/// Removes a document with its chunks, postings and vectors, and gives its quota back. Whether it was there.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document_id: DocumentId,
) -> Result<bool, DbError> {
    Ok(transaction.query_one(DELETE, &[&tenant_id, &document_id]).await?.try_get("is_gone")?)
}
