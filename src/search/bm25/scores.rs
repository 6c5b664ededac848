//! Scores chunks term by term within a window of chunk numbers, window by window.
//!
//! A window's sums stay in the processor's cache however many chunks match, chunks come out in
//! order, and stretches without a match are passed over (as Lucene's BooleanScorer does it).

use std::borrow::Cow;

use super::{Parameters, Posting, ScoredChunk, Statistics, TermPostings};

/// Chunk numbers in a window: 24 KiB of sums.
const WINDOW: usize = 2048;
const WORD: usize = u64::BITS as usize;

/// Hands every eligible chunk that holds a term to `emit`, in order of chunk number.
pub(super) fn score_each(
    statistics: Statistics,
    parameters: Parameters,
    terms: &[TermPostings],
    mut emit: impl FnMut(ScoredChunk),
) {
    let norm = LengthNorm::new(statistics, parameters);
    let mut cursors: Vec<Cursor<'_>> = terms.iter().map(|term| Cursor::new(statistics, term)).collect();
    let mut window = Window::new();
    while let Some(first) = cursors.iter().filter_map(Cursor::chunk_no).min() {
        let end = i64::from(first) + WINDOW as i64;
        for cursor in &mut cursors {
            let weight = cursor.weight;
            for posting in cursor.take_below(end) {
                // A posting that says the term does not occur would count as a match of score 0.
                if posting.eligible && posting.tf > 0 {
                    let tf = f64::from(posting.tf);
                    let score = weight * tf / (tf + norm.of(posting.length));
                    window.add(posting.chunk_no.abs_diff(first) as usize, posting.ordinal, score);
                }
            }
        }
        window.drain(first, &mut emit);
    }
}

/// `k1 (1 − b + b · length / average)`, as a line in length.
struct LengthNorm {
    base: f64,
    slope: f64,
}

impl LengthNorm {
    fn new(statistics: Statistics, Parameters { k1, b }: Parameters) -> Self {
        let average = statistics.total_length as f64 / statistics.chunk_count as f64;
        // An empty collection, or one of empty chunks, has no average to compare with: every chunk
        // is taken for an average one then.
        if average.is_finite() && average > 0.0 {
            Self { base: k1 * (1.0 - b), slope: k1 * b / average }
        } else {
            Self { base: k1, slope: 0.0 }
        }
    }

    fn of(&self, length: u32) -> f64 {
        self.base + self.slope * f64::from(length)
    }
}

/// Lucene's idf, above 0. The count is raised to df where the statistics lag behind the postings.
fn idf(chunk_count: u64, df: usize) -> f64 {
    let df = df as f64;
    let n = (chunk_count as f64).max(df);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}

/// A term's postings in order of chunk number, and how far they have been read.
struct Cursor<'a> {
    postings: Cow<'a, [Posting]>,
    at: usize,
    weight: f64,
}

impl<'a> Cursor<'a> {
    fn new(statistics: Statistics, term: &'a TermPostings) -> Self {
        let mut postings = Cow::Borrowed(term.postings.as_slice());
        // Blocks are in order; fresh rows may stand anywhere.
        if !postings.is_sorted_by_key(|posting| posting.chunk_no) {
            postings.to_mut().sort_unstable_by_key(|posting| posting.chunk_no);
        }
        let weight = f64::from(term.query_count) * idf(statistics.chunk_count, postings.len());
        // What the query does not say matches nothing.
        let at = if term.query_count == 0 { postings.len() } else { 0 };
        Self { postings, at, weight }
    }

    fn chunk_no(&self) -> Option<i32> {
        self.postings.get(self.at).map(|posting| posting.chunk_no)
    }

    /// The postings from here to a chunk number, past which the cursor moves.
    fn take_below(&mut self, end: i64) -> &[Posting] {
        let rest = &self.postings[self.at..];
        let beyond = rest.iter().position(|posting| i64::from(posting.chunk_no) >= end);
        let taken = &rest[..beyond.unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }
}

/// Sums by place in the window; a bit for each place says whether it has one.
struct Window {
    scores: Vec<f64>,
    ordinals: Vec<i32>,
    touched: [u64; WINDOW / WORD],
}

impl Window {
    fn new() -> Self {
        Self { scores: vec![0.0; WINDOW], ordinals: vec![0; WINDOW], touched: [0; WINDOW / WORD] }
    }

    fn add(&mut self, place: usize, ordinal: i32, score: f64) {
        self.scores[place] += score;
        self.ordinals[place] = ordinal;
        self.touched[place / WORD] |= 1 << (place % WORD);
    }

    /// Hands out the sums in order and clears them.
    fn drain(&mut self, first: i32, emit: &mut impl FnMut(ScoredChunk)) {
        for (number, word) in self.touched.iter_mut().enumerate() {
            while *word != 0 {
                let place = number * WORD + word.trailing_zeros() as usize;
                *word &= *word - 1;
                emit(ScoredChunk {
                    // The place is the distance of an i32 from the first.
                    chunk_no: first.wrapping_add_unsigned(place as u32),
                    ordinal: self.ordinals[place],
                    score: std::mem::take(&mut self.scores[place]),
                });
            }
        }
    }
}
