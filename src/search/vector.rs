//! The vector side: the documents whose best chunk is nearest to the query's vector.

use tokio_postgres::Row;

use super::bm25::RankedDocument;
use super::restriction::Restriction;
use super::{DEPTH, Search};
use crate::db::{DbError, Parameter, TenantTransaction};
use crate::identity::TenantId;
use crate::maintenance::PROMOTE_AT_VECTORS;

const NEAREST: &str = include_str!("../../sql/queries/search/nearest.sql");
const NEAREST_EXACT: &str = include_str!("../../sql/queries/search/nearest_exact.sql");
/// Chunks asked for at most, where one document's fill the list again and again.
const MOST_CHUNKS: usize = 64 * DEPTH;

/// The nearest documents, [`DEPTH`] or as many as there are; `None` if vectors have no weight or none was given.
pub(super) async fn nearest(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    search: &Search,
    restriction: &Restriction,
) -> Result<Option<Vec<RankedDocument>>, DbError> {
    let Some(embedding) = search.embedding.as_ref().filter(|_| search.weights.vector > 0.0) else {
        return Ok(None);
    };
    let ask = async |sql: &'static str, limit: usize| {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let Restriction { passing, documents, excluded } = restriction;
        let parameters: [Parameter<'_>; 7] =
            [&tenant_id, &embedding.vector, &embedding.model_id, passing, &limit, documents, excluded];
        transaction.query_planned(sql, &parameters).await
    };
    let (mut sql, mut limit) = (NEAREST, DEPTH);
    loop {
        let mut rows = ask(sql, limit).await?;
        // An index gives up after a number of vectors that do not pass. Every tenant gets what there is, so a short
        // answer of one that may have an index is asked for again without.
        let may_have_index = transaction.tenant().await?.chunk_count >= PROMOTE_AT_VECTORS / 4;
        if rows.len() < limit && may_have_index && sql == NEAREST {
            sql = NEAREST_EXACT;
            rows = ask(sql, limit).await?;
        }
        let is_all = rows.len() < limit;
        let documents = by_document(&rows)?;
        if documents.len() >= DEPTH || is_all || limit >= MOST_CHUNKS {
            return Ok(Some(documents));
        }
        limit *= 4;
    }
}

/// Each document by its nearest chunk; of equals the one that was stored first.
fn by_document(rows: &[Row]) -> Result<Vec<RankedDocument>, DbError> {
    let mut chunks = Vec::with_capacity(rows.len());
    for row in rows {
        let (chunk_no, ordinal): (i32, i32) = (row.try_get("chunk_no")?, row.try_get("ordinal")?);
        let score: f64 = row.try_get("similarity")?;
        chunks.push(RankedDocument { first_chunk_no: chunk_no - ordinal, chunk_no, score, rank: 0 });
    }
    // An index in relaxed order is nearly sorted.
    chunks.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk_no.cmp(&b.chunk_no)));
    let mut seen = std::collections::HashSet::with_capacity(chunks.len());
    chunks.retain(|chunk| seen.insert(chunk.first_chunk_no));
    chunks.truncate(DEPTH);
    for (chunk, rank) in chunks.iter_mut().zip(1..) {
        chunk.rank = rank;
    }
    Ok(chunks)
}
