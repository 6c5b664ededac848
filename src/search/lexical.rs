//! The words' side: what the database knows of a query's terms, sorted out for the scorer.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;

use super::bm25::{Selection, Statistics, TermPostings};
use super::filter::Filter;
use super::postings::block::Block;
use super::postings::{ChunkSet, Posting, TermVector};
use crate::db::{DbError, Parameter, TenantTransaction};
use crate::identity::TenantId;

const POSTINGS: &str = include_str!("../../sql/queries/search/postings.sql");

/// Part of a query that is a facet of its filter (`sql/queries/search/postings.sql`).
const FACET: i64 = -2;
/// The term of documents with too many facets to index.
pub(super) const TOO_MANY_FACETS: &str = "\u{1}*";

/// What to look up.
#[derive(Debug, Clone, Default)]
pub struct Terms<'a> {
    /// Words to score by.
    pub words: &'a str,
    /// Words and phrases that must or must not occur.
    pub conditions: Vec<&'a str>,
    /// Terms as they are indexed.
    pub lexemes: Vec<String>,
    /// The filter, whose facets are looked up too.
    pub filter: Filter,
}

/// What the database answers, of one snapshot: the rows, which the lists borrow from.
pub struct LexicalRows(Vec<Row>);

/// The answer sorted out.
#[derive(Debug)]
pub struct LexicalSide<'a> {
    /// The collection.
    pub statistics: Statistics,
    /// The terms of the words, in order, to score by.
    pub terms: Vec<TermPostings<'a>>,
    /// For each condition, by language, the terms that a chunk must hold all of.
    pub conditions: Vec<BTreeMap<String, BTreeSet<String>>>,
    /// The facets that a document must have to pass the filter, as far as it can be told by facets.
    pub facets: Vec<String>,
    /// Postings of the terms that are not scored: those of conditions and lexemes.
    others: BTreeMap<String, TermPostings<'a>>,
    /// Which chunks count; all may be found.
    pub selection: Selection,
}

/// Reads the postings of terms.
pub(super) async fn read(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    terms: &Terms<'_>,
) -> Result<LexicalRows, DbError> {
    let Terms { words, conditions, lexemes, filter: Filter { source, language, metadata, .. } } = terms;
    let parameters: [Parameter<'_>; 7] = [&tenant_id, words, conditions, lexemes, source, language, metadata];
    Ok(LexicalRows(transaction.query(POSTINGS, &parameters).await?))
}

impl LexicalRows {
    /// Rows of `sql/queries/search/postings.sql`.
    #[must_use]
    pub fn new(rows: Vec<Row>) -> Self {
        Self(rows)
    }

    /// Sorts the rows out by what they are.
    ///
    /// # Errors
    /// [`DbError`] for rows that are not as expected and for damaged blocks.
    pub fn side(&self) -> Result<LexicalSide<'_>, DbError> {
        let mut side = LexicalSide {
            statistics: Statistics::default(),
            terms: Vec::new(),
            conditions: Vec::new(),
            facets: Vec::new(),
            others: BTreeMap::new(),
            selection: Selection::default(),
        };
        let (mut blocks, mut fresh) = (Vec::new(), Vec::new());
        for row in &self.0 {
            match row.try_get::<_, &str>("kind")? {
                "collection" => {
                    let (count, sum): (i64, i64) = (row.try_get("count")?, row.try_get("sum")?);
                    side.statistics =
                        Statistics { chunk_count: count.unsigned_abs(), total_length: sum.unsigned_abs() };
                }
                "term" => side.add_term(row)?,
                "blocks" => blocks.push(row),
                "fresh" => fresh.push(row),
                "dead" => {
                    let numbers: Option<Vec<i32>> = row.try_get("numbers")?;
                    side.selection.dead = numbers.unwrap_or_default().into_iter().collect();
                }
                other => return Err(DbError::Other(format!("postings: a row of the kind {other:?}"))),
            }
        }
        side.terms.sort_unstable_by(|a, b| a.term.cmp(&b.term));
        side.add_blocks(blocks)?;
        side.add_fresh(&fresh)?;
        Ok(side)
    }
}

impl<'a> LexicalSide<'a> {
    fn add_term(&mut self, row: &Row) -> Result<(), DbError> {
        let (term, part): (String, i64) = (row.try_get("lexeme")?, row.try_get("count")?);
        let new =
            |term: String, query_weight| TermPostings { term, query_weight, merged: Vec::new(), fresh: Vec::new() };
        match usize::try_from(part) {
            Ok(0) => {
                // Languages may count differently; the most counts.
                let weight = f64::from(row.try_get::<_, i32>("number")?);
                match self.terms.iter_mut().find(|known| known.term == term) {
                    Some(known) => known.query_weight = known.query_weight.max(weight),
                    None => self.terms.push(new(term, weight)),
                }
            }
            Ok(part) => {
                if self.conditions.len() < part {
                    self.conditions.resize_with(part, BTreeMap::new);
                }
                self.conditions[part - 1].entry(row.try_get("language")?).or_default().insert(term.clone());
                self.others.entry(term.clone()).or_insert_with(|| new(term, 0.0));
            }
            Err(_) => {
                if part == FACET {
                    self.facets.push(term.clone());
                }
                self.others.entry(term.clone()).or_insert_with(|| new(term, 0.0));
            }
        }
        Ok(())
    }

    /// Hands a term to whoever wants it: one to score by, one of a condition, or both.
    fn with_term(&mut self, lexeme: &str, mut change: impl FnMut(&mut TermPostings<'a>)) {
        if let Ok(at) = self.terms.binary_search_by(|term| term.term.as_str().cmp(lexeme)) {
            change(&mut self.terms[at]);
        }
        if let Some(term) = self.others.get_mut(lexeme) {
            change(term);
        }
    }

    fn add_blocks(&mut self, rows: Vec<&'a Row>) -> Result<(), DbError> {
        // The block before the first that begins with the lexeme has 0, the others 1.
        let keyed: Result<Vec<(i64, &Row)>, DbError> =
            rows.into_iter().map(|row| Ok((row.try_get("count")?, row))).collect();
        let mut keyed = keyed?;
        keyed.sort_unstable_by_key(|(place, _)| *place);
        for (_, row) in keyed {
            let lexeme: &str = row.try_get("lexeme")?;
            let (numbers, sizes): (Vec<i32>, Vec<i32>) = (row.try_get("numbers")?, row.try_get("block_bytes")?);
            let mut rest: &[u8] = row.try_get("blocks")?;
            let damaged = || DbError::Other("postings: the sizes of blocks are not those of their bytes".to_owned());
            let mut blocks = Vec::with_capacity(numbers.len());
            for (first_chunk_no, size) in numbers.into_iter().zip(sizes) {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let (block, behind) = rest.split_at_checked(size).ok_or_else(damaged)?;
                blocks.push((first_chunk_no, block));
                rest = behind;
            }
            if !rest.is_empty() {
                return Err(damaged());
            }
            blocks.sort_unstable_by_key(|(first_chunk_no, _)| *first_chunk_no);
            for (_, block) in blocks {
                if let Some(list) = Block::open(block)?.find(lexeme)? {
                    self.with_term(lexeme, |term| term.merged.push(list));
                }
            }
        }
        Ok(())
    }

    fn add_fresh(&mut self, rows: &[&Row]) -> Result<(), DbError> {
        for row in rows {
            let chunk_no: i32 = row.try_get("number")?;
            let (ordinal, length): (i64, i64) = (row.try_get("count")?, row.try_get("sum")?);
            // Both are integers in their table.
            let (ordinal, length) =
                (i32::try_from(ordinal).unwrap_or_default(), u32::try_from(length).unwrap_or_default());
            let terms: TermVector<'_> = row.try_get("terms")?;
            for (lexeme, tf) in terms.iter() {
                self.with_term(lexeme, |term| term.fresh.push(Posting { chunk_no, ordinal, tf, length }));
            }
        }
        Ok(())
    }

    /// Takes the postings of a term that was looked up but not scored, to score by it too.
    pub fn take_other(&mut self, lexeme: &str) -> Option<TermPostings<'a>> {
        self.others.remove(lexeme)
    }

    /// The live postings of chunks that hold all of these terms, by chunk.
    ///
    /// # Errors
    /// [`DbError`] for damaged blocks.
    pub fn holding_all<'t>(
        &self,
        terms: impl IntoIterator<Item = &'t String>,
    ) -> Result<BTreeMap<i32, Posting>, DbError> {
        let mut holding: Option<BTreeMap<i32, Posting>> = None;
        for term in terms {
            let mut these = BTreeMap::new();
            if let Some(term) = self.others.get(term) {
                term.each(|posting| {
                    let is_wanted = holding.as_ref().is_none_or(|holding| holding.contains_key(&posting.chunk_no));
                    if is_wanted && !self.selection.dead.contains(posting.chunk_no) {
                        these.insert(posting.chunk_no, posting);
                    }
                })?;
            }
            holding = Some(these);
        }
        Ok(holding.unwrap_or_default())
    }

    /// For each of these chunks the words' terms that it holds, with how often.
    ///
    /// # Errors
    /// [`DbError`] for damaged blocks.
    pub fn held_terms(&self, chunk_nos: &[i32]) -> Result<Vec<Vec<(String, u32)>>, DbError> {
        let mut held = vec![Vec::new(); chunk_nos.len()];
        let wanted: ChunkSet = chunk_nos.iter().copied().collect();
        for term in &self.terms {
            term.each(|posting| {
                if wanted.contains(posting.chunk_no) {
                    for (at, _) in chunk_nos.iter().enumerate().filter(|(_, no)| **no == posting.chunk_no) {
                        held[at].push((term.term.clone(), posting.tf));
                    }
                }
            })?;
        }
        Ok(held)
    }
}

/// Whether a term is a pair of (or a lone) Hangul, Han or Kana character rather than a stemmed word.
pub(super) fn is_bigram(term: &str) -> bool {
    term.chars().all(|c| crate::documents::script::EastAsian::of(c).is_some())
}
