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
mod scores;

use best::Best;
use scores::score_each;

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

/// The tenant's collection as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Number of chunks.
    pub chunk_count: u64,
    /// Sum of the chunks' lengths, in terms.
    pub total_length: u64,
}

/// One term's occurrence in one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The chunk. A document's chunks are numbered consecutively.
    pub chunk_no: i32,
    /// The chunk's index in its document, from 0.
    pub ordinal: i32,
    /// How often the chunk holds the term.
    pub tf: u32,
    /// The chunk's length in terms.
    pub length: u32,
    /// Whether the chunk passes the caller's filter. The others count for df alone.
    pub eligible: bool,
}

/// A term of the query with all of its live postings, each chunk once, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermPostings {
    /// The term as indexed.
    pub term: String,
    /// How often the query says it.
    pub query_count: u32,
    /// The chunks that hold it; their number is the term's df.
    pub postings: Vec<Posting>,
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

/// The best documents, and how many there were to choose from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ranking {
    /// In order of rank.
    pub documents: Vec<RankedDocument>,
    /// Documents that matched, including those beyond the depth.
    pub matching_documents: usize,
}

/// The `depth` best documents for the terms: [`best_per_document`] of [`score`], without a list of
/// all chunks in between, which costs more than the arithmetic where a term is common.
pub fn rank(statistics: Statistics, parameters: Parameters, terms: &[TermPostings], depth: usize) -> Ranking {
    let mut best = Best::new(depth);
    score_each(statistics, parameters, terms, |chunk| best.add(chunk));
    best.into_ranking()
}

/// Scores every eligible chunk that holds a term, in order of chunk number.
pub fn score(statistics: Statistics, parameters: Parameters, terms: &[TermPostings]) -> Vec<ScoredChunk> {
    let mut chunks = Vec::new();
    score_each(statistics, parameters, terms, |chunk| chunks.push(chunk));
    chunks
}

/// The `depth` best documents, each by its best chunk; of equals the lower chunk number comes first.
///
/// `chunks` must be in order of chunk number, as [`score`] returns them.
pub fn best_per_document(chunks: &[ScoredChunk], depth: usize) -> Ranking {
    let mut best = Best::new(depth);
    for chunk in chunks {
        best.add(*chunk);
    }
    best.into_ranking()
}

#[cfg(test)]
mod tests;
