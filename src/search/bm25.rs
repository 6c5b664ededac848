//! BM25 over the postings of a query's terms.
//!
//! Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), equation
//! 3.15, with the idf of Lucene, which is never negative:
//!
//! ```text
//! score(chunk) = Σ over terms  n · ln(1 + (N − df + ½) / (df + ½)) · tf / (tf + k1 (1 − b + b · length / average))
//! ```
//!
//! n is how often the query says the term, N the number of chunks, df how many hold the term. The
//! constant factor k1 + 1 of older texts is left out, as by Lucene since version 8: no order depends
//! on it. Any term may match (OR). Lengths are in terms, as the index counts them.

mod best;
mod cursor;
mod scores;
mod weight;
mod window;

use super::postings::list::List;
use super::postings::{ChunkSet, Damaged, Posting};
use best::Best;
use scores::{Sink, score_each};

/// The two constants of BM25.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// How soon a term's further occurrences stop to matter.
    pub k1: f64,
    /// How much a chunk's length counts against it, 0 to 1.
    pub b: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

impl Parameters {
    /// A tenant's own: `{"bm25": {"k1": 1.2, "b": 0.75}}` in its settings. What is absent or out of range (k1 from 0 to 10,
    /// b from 0 to 1) is as by default.
    #[must_use]
    pub fn of_settings(settings: &serde_json::Value) -> Self {
        let standard = Self::default();
        let own = |name: &str, most: f64| {
            settings.get("bm25")?.get(name)?.as_f64().filter(|value| (0.0..=most).contains(value))
        };
        Self { k1: own("k1", 10.0).unwrap_or(standard.k1), b: own("b", 1.0).unwrap_or(standard.b) }
    }
}

/// The tenant's collection as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of chunks.
    pub chunk_count: u64,
    /// Sum of the chunks' lengths, in terms.
    pub total_length: u64,
}

/// A term of the query with its postings.
#[derive(Debug, Clone)]
pub struct TermPostings<'a> {
    /// The term as indexed.
    pub term: String,
    /// How often the query says it, or less than once for a term that only resembles what the query says.
    pub query_weight: f64,
    /// Merged postings, one list a block, in order. Postings of dead chunks are among them.
    pub merged: Vec<List<'a>>,
    /// Postings of chunks that are not merged yet, each chunk once, in any order.
    pub fresh: Vec<Posting>,
}

/// Which chunks count, and which may be found.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Deleted chunks whose postings are still there: they count for nothing.
    pub dead: ChunkSet,
    /// Chunks that may be found; `None` lets all be. The others count for df alone.
    pub passing: Option<ChunkSet>,
    /// Documents that may be found, by the number of their first chunk; `None` lets all be.
    pub documents: Option<ChunkSet>,
    /// Documents that may not be found, by the number of their first chunk.
    pub excluded: ChunkSet,
}

impl Selection {
    /// Whether every chunk counts and may be found.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.dead.is_empty() && self.passing.is_none() && self.documents.is_none() && self.excluded.is_empty()
    }

    /// Whether a chunk may be found.
    fn finds(&self, posting: &Posting) -> bool {
        // An ordinal is never above its chunk's number.
        let document = posting.chunk_no.wrapping_sub(posting.ordinal);
        !self.dead.contains(posting.chunk_no)
            && self.passing.as_ref().is_none_or(|passing| passing.contains(posting.chunk_no))
            && self.documents.as_ref().is_none_or(|documents| documents.contains(document))
            && !self.excluded.contains(document)
    }
}

impl TermPostings<'_> {
    /// Hands out every posting, those of dead chunks too.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn each(&self, mut each: impl FnMut(Posting)) -> Result<(), Damaged> {
        self.fresh.iter().copied().for_each(&mut each);
        for list in &self.merged {
            let mut postings = list.postings();
            while let Some(posting) = postings.read()? {
                each(posting);
            }
        }
        Ok(())
    }

    /// The number of its postings, those of dead chunks too.
    #[must_use]
    pub fn posting_count(&self) -> usize {
        self.fresh.len() + self.merged.iter().map(List::count).sum::<usize>()
    }

    /// The number of live chunks that hold the term.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn df(&self, dead: &ChunkSet) -> Result<usize, Damaged> {
        let mut df = self.posting_count();
        if dead.is_empty() {
            return Ok(df);
        }
        for (list, at) in self.merged.iter().zip(1..) {
            // Few blocks hold one of the dead, and the others need not be read.
            let next = self.merged.get(at).map(List::first_chunk_no).transpose()?.flatten();
            if list.first_chunk_no()?.is_some_and(|first| !dead.meets(first, next)) {
                continue;
            }
            let mut postings = list.postings();
            while let Some(posting) = postings.read()? {
                df -= usize::from(dead.contains(posting.chunk_no));
            }
        }
        Ok(df)
    }
}

/// A chunk that holds at least one term.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredChunk {
    /// The chunk.
    pub chunk_no: i32,
    /// Its index in its document, from 0.
    pub ordinal: i32,
    /// Its score, above 0.
    pub score: f64,
}

/// A document in the order of one side of the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankedDocument {
    /// The number of the document's first chunk, which identifies it within the tenant.
    pub first_chunk_no: i32,
    /// The document's best chunk.
    pub chunk_no: i32,
    /// The best chunk's score.
    pub score: f64,
    /// From 1.
    pub rank: u32,
}

/// The `depth` best documents for the terms, in order of rank: [`best_per_document`] of [`score`], without looking at every
/// chunk where a term is too common to matter by itself.
///
/// # Errors
/// [`Damaged`] postings.
pub fn rank(
    statistics: Statistics,
    parameters: Parameters,
    terms: &[TermPostings<'_>],
    selection: &Selection,
    depth: usize,
) -> Result<Vec<RankedDocument>, Damaged> {
    let mut best = Best::new(depth);
    score_each(statistics, parameters, terms, selection, &mut best)?;
    Ok(best.into_documents())
}

/// Scores every chunk that holds a term and may be found, in order of chunk number.
///
/// # Errors
/// [`Damaged`] postings.
pub fn score(
    statistics: Statistics,
    parameters: Parameters,
    terms: &[TermPostings<'_>],
    selection: &Selection,
) -> Result<Vec<ScoredChunk>, Damaged> {
    let mut chunks = Vec::new();
    score_each(statistics, parameters, terms, selection, &mut chunks)?;
    Ok(chunks)
}

/// The `depth` best documents, each by its best chunk; of equals the lower chunk number comes first.
///
/// `chunks` must be in order of chunk number, as [`score`] returns them.
pub fn best_per_document(chunks: &[ScoredChunk], depth: usize) -> Vec<RankedDocument> {
    let mut best = Best::new(depth);
    for chunk in chunks {
        best.add(*chunk);
    }
    best.into_documents()
}

#[cfg(test)]
mod tests;
