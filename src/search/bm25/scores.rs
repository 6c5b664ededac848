//! Scores chunks term by term within a window of chunk numbers, window by window.
//!
//! A window's sums stay in the processor's cache however many chunks match, chunks come out in
//! order, and stretches without a match are passed over (as Lucene's BooleanScorer does it).

use super::{Parameters, Posting, ScoredChunk, Selection, Statistics, TermPostings};
use crate::search::postings::Damaged;
use crate::search::postings::list::{List, Postings};

/// Chunk numbers in a window: 24 KiB of sums.
const WINDOW: usize = 2048;
const WORD: usize = u64::BITS as usize;

/// Hands every chunk that holds a term and may be found to `emit`, in order of chunk number.
pub(super) fn score_each(
    statistics: Statistics,
    parameters: Parameters,
    terms: &[TermPostings<'_>],
    selection: &Selection,
    mut emit: impl FnMut(ScoredChunk),
) -> Result<(), Damaged> {
    let norm = LengthNorm::new(statistics, parameters);
    let mut cursors = Vec::with_capacity(2 * terms.len());
    for term in terms {
        let weight = term.query_weight * idf(statistics.chunk_count, term.df(&selection.dead)?);
        // What the query does not say matches nothing.
        if term.query_weight > 0.0 {
            cursors.push(Cursor::new(Source::merged(term), weight)?);
            cursors.push(Cursor::new(Source::fresh(term), weight)?);
        }
    }
    let selects = !selection.is_everything();
    let mut window = Window::new();
    while let Some(first) = cursors.iter().filter_map(Cursor::chunk_no).min() {
        let end = i64::from(first) + WINDOW as i64;
        for cursor in &mut cursors {
            let weight = cursor.weight;
            cursor.take_below(end, |posting| {
                if selects && !selection.finds(&posting) {
                    return;
                }
                let tf = f64::from(posting.tf);
                let score = weight * tf / (tf + norm.of(posting.length));
                window.add(posting.chunk_no.abs_diff(first) as usize, posting.ordinal, score);
            })?;
        }
        window.drain(first, &mut emit);
    }
    Ok(())
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

/// Where a cursor's postings come from, in order of chunk number.
enum Source<'a> {
    Merged { postings: Option<Postings<'a>>, lists: std::slice::Iter<'a, List<'a>> },
    Fresh(std::vec::IntoIter<Posting>),
}

impl<'a> Source<'a> {
    fn merged(term: &'a TermPostings<'a>) -> Self {
        Self::Merged { postings: None, lists: term.merged.iter() }
    }

    fn fresh(term: &TermPostings<'_>) -> Self {
        let mut fresh = term.fresh.clone();
        fresh.sort_unstable_by_key(|posting| posting.chunk_no);
        Self::Fresh(fresh.into_iter())
    }

    #[inline]
    fn next(&mut self) -> Result<Option<Posting>, Damaged> {
        match self {
            Self::Fresh(postings) => Ok(postings.next()),
            Self::Merged { postings, lists } => loop {
                if let Some(postings) = postings
                    && let Some(posting) = postings.read()?
                {
                    return Ok(Some(posting));
                }
                match lists.next() {
                    Some(list) => *postings = Some(list.postings()),
                    None => return Ok(None),
                }
            },
        }
    }
}

/// A term's postings, and how far they have been read.
struct Cursor<'a> {
    source: Source<'a>,
    next: Option<Posting>,
    weight: f64,
}

impl<'a> Cursor<'a> {
    fn new(mut source: Source<'a>, weight: f64) -> Result<Self, Damaged> {
        let next = source.next()?;
        Ok(Self { source, next, weight })
    }

    fn chunk_no(&self) -> Option<i32> {
        self.next.map(|posting| posting.chunk_no)
    }

    /// Hands out the postings from here to a chunk number, past which the cursor moves.
    #[inline]
    fn take_below(&mut self, end: i64, mut each: impl FnMut(Posting)) -> Result<(), Damaged> {
        while let Some(posting) = self.next
            && i64::from(posting.chunk_no) < end
        {
            each(posting);
            self.next = self.source.next()?;
            if self.next.is_some_and(|next| next.chunk_no <= posting.chunk_no) {
                return Err(Damaged("blocks overlap"));
            }
        }
        Ok(())
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
