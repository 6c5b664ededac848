use std::path::Path;
use std::pin::pin;

use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Client;

use super::TransferError;
use super::format::{Document, Line};
use super::rows;
use super::writer::{Whole, Writer};
use crate::db::{DbError, OwnerTransaction, admin};
use crate::identity::TenantId;

const EXPORT_HEADER: &str = include_str!("../../../sql/queries/administration/export_header.sql");
const EXPORT_DOCUMENTS: &str = include_str!("../../../sql/queries/administration/export_documents.sql");
const NOTE_EXPORT: &str = include_str!("../../../sql/queries/administration/note_export.sql");

/// What was written.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "counts")]
pub struct Exported {
    pub documents: i64,
    pub chunks: i64,
    /// Of the lines before the last one.
    pub sha256: String,
}

/// Writes a tenant's data to a new file, of one snapshot, a document at a time; the file appears when it is whole. `tell` hears after
/// each document how many there are of how many. The export leaves a row in the tenant's trail.
///
/// # Errors
/// [`TransferError`].
pub async fn export(
    client: &Client,
    tenant_id: TenantId,
    path: &Path,
    tell: impl FnMut(i64, i64),
) -> Result<Exported, TransferError> {
    let mut writer = Writer::create(path)?;
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    transaction.read_one_snapshot().await?;
    let written = write(&transaction, &mut writer, tell).await;
    // It read only: whatever came of the file, there is nothing to undo.
    transaction.end(Ok(())).await?;
    let (documents, chunks) = written?;
    let whole: Whole = writer.end(documents, chunks)?;
    let exported = Exported { documents, chunks, sha256: whole.sha256.clone() };
    let told = json!({ "status": "exported", "documents": documents, "chunks": chunks, "sha256": exported.sha256 });
    if admin::as_owner(client, NOTE_EXPORT, &[&tenant_id, &told]).await?.is_empty() {
        return Err(TransferError::Refused("the tenant is gone".to_owned()));
    }
    whole.place()?;
    Ok(exported)
}

async fn write(
    transaction: &OwnerTransaction<'_>,
    writer: &mut Writer,
    mut tell: impl FnMut(i64, i64),
) -> Result<(i64, i64), TransferError> {
    let tenant_id = transaction.tenant_id();
    let found = transaction.query(EXPORT_HEADER, &[&tenant_id]).await?;
    let row = found.first().ok_or_else(|| TransferError::Refused("the tenant is gone".to_owned()))?;
    if row.try_get("is_in_part").map_err(DbError::from)? {
        let reason = "the tenant is not all there: it is being purged, or its own import was broken off";
        return Err(TransferError::Refused(reason.to_owned()));
    }
    writer.put(&Line::Header(Box::new(rows::header(row)?)))?;
    let all: i64 = row.try_get("document_count").map_err(DbError::from)?;
    let stream = transaction.stream(EXPORT_DOCUMENTS, &[&tenant_id]).await?;
    let mut stream = pin!(stream);
    let (mut documents, mut chunks) = (0, 0);
    while let Some(row) = stream.try_next().await.map_err(DbError::from)? {
        let document: Document = rows::document(&row)?;
        chunks += i64::try_from(document.chunks.len()).unwrap_or(i64::MAX);
        documents += 1;
        writer.put(&Line::Document(Box::new(document)))?;
        tell(documents, all);
    }
    Ok((documents, chunks))
}
