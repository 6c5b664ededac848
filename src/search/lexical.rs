use tokio_postgres::Row;

use super::Search;
use super::bm25::{Posting, Statistics, TermPostings};
use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const POSTINGS: &str = include_str!("../../sql/queries/search/postings.sql");

/// What the word side needs: the collection's statistics and the postings of the query's terms, of one snapshot.
pub(super) struct LexicalSide {
    pub statistics: Statistics,
    pub terms: Vec<TermPostings>,
}

/// Reads the postings of the query's terms; `None` if words have no weight.
pub(super) async fn postings(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    search: &Search,
) -> Result<Option<LexicalSide>, DbError> {
    if search.weights.bm25 <= 0.0 {
        return Ok(None);
    }
    let filter = &search.filter;
    let filtered = !filter.is_empty();
    let rows = transaction
        .query(
            POSTINGS,
            &[
                &tenant_id,
                &search.query,
                &filtered,
                &filter.source,
                &filter.metadata,
                &filter.created_after,
                &filter.created_before,
                &filter.language,
            ],
        )
        .await?;
    let mut side = LexicalSide { statistics: Statistics::default(), terms: Vec::with_capacity(rows.len()) };
    for row in &rows {
        side.statistics = statistics(row)?;
        if let Some(term) = row.try_get::<_, Option<String>>("lexeme")? {
            side.terms.push(TermPostings {
                term,
                query_count: unsigned(row.try_get("query_count")?),
                postings: term_postings(row)?,
            });
        }
    }
    Ok(Some(side))
}

fn statistics(row: &Row) -> Result<Statistics, DbError> {
    let (chunks, length): (i64, i64) = (row.try_get("chunk_count")?, row.try_get("total_length")?);
    Ok(Statistics { chunk_count: chunks.unsigned_abs(), total_length: length.unsigned_abs() })
}

fn term_postings(row: &Row) -> Result<Vec<Posting>, DbError> {
    let Some(chunk_nos) = row.try_get::<_, Option<Vec<i32>>>("chunk_nos")? else {
        return Ok(Vec::new());
    };
    let ordinals: Vec<i32> = row.try_get("ordinals")?;
    let frequencies: Vec<i32> = row.try_get("frequencies")?;
    let lengths: Vec<i32> = row.try_get("lengths")?;
    let eligible: Vec<bool> = row.try_get("eligible")?;
    let rest = ordinals.into_iter().zip(frequencies).zip(lengths).zip(eligible);
    Ok(chunk_nos
        .into_iter()
        .zip(rest)
        .map(|(chunk_no, (((ordinal, tf), length), eligible))| Posting {
            chunk_no,
            ordinal,
            tf: unsigned(tf),
            length: unsigned(length),
            eligible,
        })
        .collect())
}

/// Counts are stored as PostgreSQL's signed integers and are never negative.
fn unsigned(count: i32) -> u32 {
    count.unsigned_abs()
}

/// The query's terms that a chunk holds, with how often.
pub(super) fn held_terms(terms: &[TermPostings], chunk_no: i32) -> Vec<(String, u32)> {
    let held = terms.iter().filter_map(|term| {
        // Postings come in order of chunk number.
        let at = term.postings.binary_search_by_key(&chunk_no, |posting| posting.chunk_no).ok()?;
        Some((term.term.clone(), term.postings[at].tf))
    });
    held.collect()
}

/// Whether a term is a pair of (or a lone) Hangul, Han or Kana character rather than a stemmed word.
pub(super) fn is_bigram(term: &str) -> bool {
    term.chars().all(|c| crate::documents::script::EastAsian::of(c).is_some())
}
