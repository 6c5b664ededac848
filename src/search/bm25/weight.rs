//! The arithmetic of one term in one chunk.

use super::{Parameters, Statistics};

/// `k1 (1 − b + b · length / average)`, as a line in length.
#[derive(Debug, Clone, Copy)]
pub(super) struct LengthNorm {
    base: f64,
    slope: f64,
}

impl LengthNorm {
    pub(super) fn new(statistics: Statistics, Parameters { k1, b }: Parameters) -> Self {
        let average = statistics.total_length as f64 / statistics.chunk_count as f64;
        // An empty collection, or one of empty chunks, has no average to compare with: every chunk
        // is taken for an average one then.
        if average.is_finite() && average > 0.0 {
            Self { base: k1 * (1.0 - b), slope: k1 * b / average }
        } else {
            Self { base: k1, slope: 0.0 }
        }
    }

    #[inline]
    fn of(self, length: u32) -> f64 {
        self.base + self.slope * f64::from(length)
    }
}

/// Lucene's idf, above 0. The count is raised to df where the statistics lag behind the postings.
pub(super) fn idf(chunk_count: u64, df: usize) -> f64 {
    let df = df as f64;
    let n = (chunk_count as f64).max(df);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}

/// Postings from which a table of scores pays.
const MANY: usize = 4_096;
/// Lengths in the table: a passage of 300 tokens is shorter.
const LENGTHS: u32 = 512;
/// Frequencies in the table, from 1. A title's word counts three times.
const FREQUENCIES: u32 = 4;

/// What a term adds to a chunk.
pub(super) struct Scorer {
    /// The term's weight: idf times how often the query says it.
    pub weight: f64,
    norm: LengthNorm,
    /// Of a common term, by frequency and length: that saves nearly every posting a division.
    table: Vec<f64>,
}

impl Scorer {
    pub(super) fn new(weight: f64, df: usize, norm: LengthNorm) -> Self {
        let frequencies = if df < MANY { 0 } else { FREQUENCIES };
        let of = |tf: u32| (0..LENGTHS).map(move |length| score(weight, tf, norm.of(length)));
        Self { weight, norm, table: (1..=frequencies).flat_map(of).collect() }
    }

    #[inline]
    pub(super) fn score(&self, tf: u32, length: u32) -> f64 {
        // A frequency is never 0.
        let place = tf.wrapping_sub(1).wrapping_mul(LENGTHS).wrapping_add(length) as usize;
        match self.table.get(place) {
            Some(score) if length < LENGTHS && tf <= FREQUENCIES => *score,
            _ => score(self.weight, tf, self.norm.of(length)),
        }
    }
}

#[inline]
fn score(weight: f64, tf: u32, norm: f64) -> f64 {
    let tf = f64::from(tf);
    weight * tf / (tf + norm)
}
