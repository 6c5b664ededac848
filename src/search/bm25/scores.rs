//! Scores chunks term by term within a window of chunk numbers, window by window.
//!
//! A window's sums stay in the processor's cache however many chunks match, chunks come out in
//! order, and stretches without a match are passed over (as Lucene's BooleanScorer does it).
//!
//! Where only the best are wanted, terms that are too common to lift a chunk among them by themselves are read only where
//! rarer ones match (MaxScore: Turtle and Flood, Query Evaluation: Strategies and Optimizations, 1995).

use super::cursor::Cursor;
use super::weight::{LengthNorm, idf};
use super::window::{WINDOW, Window};
use super::{Parameters, ScoredChunk, Selection, Statistics, TermPostings};
use crate::search::postings::Damaged;

/// Takes scored chunks in order of chunk number.
pub(super) trait Sink {
    /// Takes a chunk.
    fn add(&mut self, chunk: ScoredChunk);

    /// A chunk of a lower score need not be handed over. It never falls.
    fn threshold(&self) -> f64;
}

impl Sink for Vec<ScoredChunk> {
    fn add(&mut self, chunk: ScoredChunk) {
        self.push(chunk);
    }

    fn threshold(&self) -> f64 {
        f64::NEG_INFINITY
    }
}

/// Hands every chunk that holds a term, may be found and reaches the threshold to `sink`.
pub(super) fn score_each(
    statistics: Statistics,
    parameters: Parameters,
    terms: &[TermPostings<'_>],
    selection: &Selection,
    sink: &mut impl Sink,
) -> Result<(), Damaged> {
    let norm = LengthNorm::new(statistics, parameters);
    let mut cursors = Vec::with_capacity(terms.len());
    // What the query does not say matches nothing.
    for term in terms.iter().filter(|term| term.query_weight > 0.0) {
        let df = term.df(&selection.dead)?;
        cursors.push(Cursor::new(term, term.query_weight * idf(statistics.chunk_count, df), df, norm)?);
    }
    // Rarest first: the order in which a chunk's sum is made, whichever terms lead by then, so that equal chunks have
    // equal sums to the last bit.
    cursors.sort_by(|a, b| b.weight().total_cmp(&a.weight()));
    let bounds = bounds(&cursors);
    let selects = !selection.is_everything();
    let mut window = Window::new();
    let mut leading = cursors.len();
    loop {
        while leading > 0 && bounds[leading - 1] < sink.threshold() {
            leading -= 1;
        }
        let (leaders, followers) = cursors.split_at_mut(leading);
        let Some(first) = leaders.iter().filter_map(Cursor::chunk_no).min() else { return Ok(()) };
        let end = i64::from(first) + WINDOW as i64;
        for leader in leaders {
            leader.take_below(end, |posting, score| {
                if !selects || selection.finds(&posting) {
                    window.add(posting.chunk_no.abs_diff(first) as usize, posting.ordinal, score);
                }
            })?;
        }
        for follower in followers {
            follower.skip_to(first)?;
            follower.take_below(end, |posting, score| {
                window.raise(posting.chunk_no.abs_diff(first) as usize, score);
            })?;
        }
        window.drain(first, sink);
    }
}

/// For each term the most that it and those behind it together add to a chunk: a frequency's part of the score is below 1.
fn bounds(cursors: &[Cursor<'_>]) -> Vec<f64> {
    let mut bounds: Vec<f64> = cursors.iter().map(Cursor::weight).collect();
    let mut sum = 0.0;
    for bound in bounds.iter_mut().rev() {
        sum += *bound;
        // A little more than the sums can differ by rounding.
        *bound = sum * (1.0 + 1e-9);
    }
    bounds
}
