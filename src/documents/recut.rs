use pgvector::Vector;

use super::cutting::Cutting;
use super::new::Analysis;
use super::update::{Current, REWRITE, kept};
use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

/// Cuts a document's text anew; the number of its passages if they are others than before, which wait for their vectors then. Those
/// that stay keep theirs. `None` also if there is no such document.
///
/// # Errors
/// Any [`DbError`].
pub async fn recut(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document_id: DocumentId,
    cutting: &Cutting,
) -> Result<Option<usize>, DbError> {
    let Some(current) = Current::lock(transaction, tenant_id, document_id, true).await? else { return Ok(None) };
    let content = current.content.clone().unwrap_or_default();
    let cutting = cutting.clone();
    let analysis = tokio::task::spawn_blocking(move || Analysis::of(&content, &cutting)).await;
    let analysis = analysis.map_err(|error| DbError::Other(error.to_string()))?;
    let content = current.content.as_deref().unwrap_or_default();
    let kept = kept(transaction, tenant_id, document_id, content, content, &analysis.chunks).await?;
    if kept.iter().all(Option::is_some) {
        return Ok(None);
    }
    let starts = analysis.column(|c| c.char_start);
    let (ends, tokens) = (analysis.column(|c| c.char_end), analysis.column(|c| c.token_count));
    let (no_vector, no_model, no_model_id) = (None::<Vector>, None::<&str>, None::<i16>);
    let parameters: [crate::db::Parameter<'_>; 14] = [
        &tenant_id,
        &document_id,
        &current.title,
        &content,
        &current.source,
        &current.metadata,
        &current.language,
        &no_vector,
        &no_model,
        &starts,
        &ends,
        &tokens,
        &kept,
        &no_model_id,
    ];
    transaction.query_one(REWRITE, &parameters).await?;
    Ok(Some(analysis.chunk_count()))
}
