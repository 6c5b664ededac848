//! The words' side: what the database knows of a query's terms, sorted out for the scorer.

use tokio_postgres::Row;

use super::Search;
use super::bm25::{Selection, Statistics, TermPostings};
use super::postings::block::Block;
use super::postings::{ChunkSet, Posting, TermVector};
use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const POSTINGS: &str = include_str!("../../sql/queries/search/postings.sql");

/// What the word side reads, of one snapshot: the rows, which the lists borrow from.
pub struct LexicalRows(Vec<Row>);

/// What the word side needs.
pub struct LexicalSide<'a> {
    /// The collection.
    pub statistics: Statistics,
    /// The query's terms, in order.
    pub terms: Vec<TermPostings<'a>>,
    /// Which chunks count and may be found.
    pub selection: Selection,
    /// Whether words count at all.
    pub has_words: bool,
}

/// Reads the postings of the query's terms and the chunks that pass the filter; `None` if words have no weight and there
/// is no filter.
pub(super) async fn read(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    search: &Search,
) -> Result<Option<LexicalRows>, DbError> {
    let filter = &search.filter;
    let has_words = search.weights.bm25 > 0.0;
    if !has_words && filter.is_empty() {
        return Ok(None);
    }
    let words = if has_words { search.query.as_str() } else { "" };
    let rows = transaction
        .query(
            POSTINGS,
            &[
                &tenant_id,
                &words,
                &!filter.is_empty(),
                &filter.source,
                &filter.metadata,
                &filter.created_after,
                &filter.created_before,
                &filter.language,
            ],
        )
        .await?;
    Ok(Some(LexicalRows(rows)))
}

impl LexicalRows {
    /// Rows of `sql/queries/search/postings.sql`.
    #[must_use]
    pub fn new(rows: Vec<Row>) -> Self {
        Self(rows)
    }

    /// The chunks that pass the filter.
    pub(super) fn passing(&self) -> Result<Vec<i32>, DbError> {
        for row in &self.0 {
            if row.try_get::<_, &str>("kind")? == "passing" {
                return Ok(row.try_get::<_, Option<Vec<i32>>>("numbers")?.unwrap_or_default());
            }
        }
        Ok(Vec::new())
    }

    /// Sorts the rows out by what they are.
    ///
    /// # Errors
    /// [`DbError`] for rows that are not as expected and for damaged blocks.
    pub fn side(&self, search: &Search) -> Result<LexicalSide<'_>, DbError> {
        let mut side = LexicalSide { statistics: Statistics::default(), terms: Vec::new(), selection: Selection::default(), has_words: true };
        let mut blocks = Vec::new();
        let mut fresh = Vec::new();
        for row in &self.0 {
            match row.try_get::<_, &str>("kind")? {
                "collection" => {
                    let (count, sum): (i64, i64) = (row.try_get("count")?, row.try_get("sum")?);
                    side.statistics = Statistics { chunk_count: count.unsigned_abs(), total_length: sum.unsigned_abs() };
                }
                "term" => side.terms.push(TermPostings {
                    term: row.try_get("lexeme")?,
                    query_weight: f64::from(row.try_get::<_, i32>("number")?),
                    merged: Vec::new(),
                    fresh: Vec::new(),
                }),
                "block" => blocks.push(row),
                "fresh" => fresh.push(row),
                "dead" => side.selection.dead = numbers(row)?,
                "passing" => side.selection.passing = Some(numbers(row)?),
                other => return Err(DbError::Other(format!("postings: a row of the kind {other:?}"))),
            }
        }
        if search.filter.is_empty() {
            side.selection.passing = None;
        }
        side.has_words = search.weights.bm25 > 0.0;
        side.terms.sort_unstable_by(|a, b| a.term.cmp(&b.term));
        side.add_blocks(blocks)?;
        side.add_fresh(&fresh)?;
        Ok(side)
    }
}

impl<'a> LexicalSide<'a> {
    fn add_blocks(&mut self, blocks: Vec<&'a Row>) -> Result<(), DbError> {
        let keyed: Result<Vec<_>, DbError> = blocks
            .into_iter()
            // The block before the first that begins with the lexeme has 0, the others 1.
            .map(|row| Ok((row.try_get::<_, i64>("count")?, row.try_get::<_, i32>("number")?, row)))
            .collect();
        let mut keyed = keyed?;
        keyed.sort_unstable_by_key(|(place, first_chunk_no, _)| (*place, *first_chunk_no));
        for (_, _, row) in keyed {
            let lexeme: &str = row.try_get("lexeme")?;
            let Some(term) = self.terms.iter_mut().find(|term| term.term == lexeme) else { continue };
            if let Some(list) = Block::open(row.try_get("block")?)?.find(lexeme)? {
                term.merged.push(list);
            }
        }
        Ok(())
    }

    fn add_fresh(&mut self, rows: &[&Row]) -> Result<(), DbError> {
        for row in rows {
            let chunk_no: i32 = row.try_get("number")?;
            let (ordinal, length): (i64, i64) = (row.try_get("count")?, row.try_get("sum")?);
            let posting = |tf| Posting {
                chunk_no,
                // Both are integers in their table.
                ordinal: i32::try_from(ordinal).unwrap_or_default(),
                length: u32::try_from(length).unwrap_or_default(),
                tf,
            };
            let terms: TermVector<'_> = row.try_get("terms")?;
            for (lexeme, tf) in terms.iter() {
                if let Ok(at) = self.terms.binary_search_by(|term| term.term.as_str().cmp(lexeme)) {
                    self.terms[at].fresh.push(posting(tf));
                }
            }
        }
        Ok(())
    }

    /// For each of these chunks the query's terms that it holds, with how often.
    pub(super) fn held_terms(&self, chunk_nos: &[i32]) -> Result<Vec<Vec<(String, u32)>>, DbError> {
        let mut held = vec![Vec::new(); chunk_nos.len()];
        let wanted: ChunkSet = chunk_nos.iter().copied().collect();
        for term in &self.terms {
            let mut note = |posting: &Posting| {
                if wanted.contains(posting.chunk_no) {
                    for (at, _) in chunk_nos.iter().enumerate().filter(|(_, no)| **no == posting.chunk_no) {
                        held[at].push((term.term.clone(), posting.tf));
                    }
                }
            };
            term.fresh.iter().for_each(&mut note);
            for list in &term.merged {
                let mut postings = list.postings();
                while let Some(posting) = postings.next()? {
                    note(&posting);
                }
            }
        }
        Ok(held)
    }
}

fn numbers(row: &Row) -> Result<ChunkSet, DbError> {
    let numbers: Option<Vec<i32>> = row.try_get("numbers")?;
    Ok(numbers.unwrap_or_default().into_iter().collect())
}

/// Whether a term is a pair of (or a lone) Hangul, Han or Kana character rather than a stemmed word.
pub(super) fn is_bigram(term: &str) -> bool {
    term.chars().all(|c| crate::documents::script::EastAsian::of(c).is_some())
}
