use pgvector::HalfVector;

use super::bm25::{RankedDocument, Ranking};
use super::{DEPTH, Search};
use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const NEAREST: &str = include_str!("../../sql/queries/search/nearest.sql");

/// The documents whose best chunk is nearest to the query's vector; `None` if vectors have no weight or none was given.
pub(super) async fn nearest(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    search: &Search,
) -> Result<Option<Ranking>, DbError> {
    let Some(embedding) = search.embedding.as_ref().filter(|_| search.weights.vector > 0.0) else {
        return Ok(None);
    };
    let filter = &search.filter;
    let filtered = !filter.is_empty();
    let vector = HalfVector::from_f32_slice(&embedding.vector);
    let depth = i32::try_from(DEPTH).unwrap_or(i32::MAX);
    let rows = transaction
        .query(
            NEAREST,
            &[
                &tenant_id,
                &vector,
                &embedding.model_id,
                &depth,
                &filtered,
                &filter.source,
                &filter.metadata,
                &filter.created_after,
                &filter.created_before,
                &filter.language,
            ],
        )
        .await?;
    let mut ranking = Ranking::default();
    for (row, rank) in rows.iter().zip(1..) {
        ranking.matching_documents = usize::try_from(row.try_get::<_, i64>("matching_documents")?).unwrap_or_default();
        ranking.documents.push(RankedDocument {
            first_chunk_no: row.try_get("first_chunk_no")?,
            chunk_no: row.try_get("chunk_no")?,
            score: row.try_get("similarity")?,
            rank,
        });
    }
    Ok(Some(ranking))
}
