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
/// Lengths in the table. A chunk of 300 tokens is shorter.
const TABLED: u32 = 1_024;

/// What a term adds to a chunk.
pub(super) struct Scorer {
    /// The term's weight: idf times how often the query says it.
    pub weight: f64,
    norm: LengthNorm,
    /// Of a term that occurs once, by length: most postings of a common term, and a division less for each.
    once: Vec<f64>,
}

impl Scorer {
    pub(super) fn new(weight: f64, df: usize, norm: LengthNorm) -> Self {
        let lengths = if df < MANY { 0 } else { TABLED };
        Self { weight, norm, once: (0..lengths).map(|length| score(weight, 1, norm.of(length))).collect() }
    }

    #[inline]
    pub(super) fn score(&self, tf: u32, length: u32) -> f64 {
        match self.once.get(length as usize) {
            Some(score) if tf == 1 => *score,
            _ => score(self.weight, tf, self.norm.of(length)),
        }
    }
}

#[inline]
fn score(weight: f64, tf: u32, norm: f64) -> f64 {
    let tf = f64::from(tf);
    weight * tf / (tf + norm)
}
