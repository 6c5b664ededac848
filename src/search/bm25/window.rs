//! Sums of a window of chunk numbers.

use super::ScoredChunk;
use super::scores::Sink;

/// Chunk numbers in a window: 24 KiB of sums.
pub(super) const WINDOW: usize = 2048;
const WORD: usize = u64::BITS as usize;

/// Sums by place in the window; a bit for each place says whether it has one.
pub(super) struct Window {
    scores: Box<[f64; WINDOW]>,
    ordinals: Box<[i32; WINDOW]>,
    touched: [u64; WINDOW / WORD],
}

impl Window {
    pub(super) fn new() -> Self {
        Self { scores: Box::new([0.0; WINDOW]), ordinals: Box::new([0; WINDOW]), touched: [0; WINDOW / WORD] }
    }

    #[inline]
    pub(super) fn add(&mut self, place: usize, ordinal: i32, score: f64) {
        // A place is below the window's size, which this tells the compiler.
        let place = place % WINDOW;
        self.scores[place] += score;
        self.ordinals[place] = ordinal;
        self.touched[place / WORD] |= 1 << (place % WORD);
    }

    /// Adds to a place that has a sum; another stays without.
    #[inline]
    pub(super) fn raise(&mut self, place: usize, score: f64) {
        let place = place % WINDOW;
        let is_touched = self.touched[place / WORD] >> (place % WORD) & 1 == 1;
        // Without a branch, for which of a common term's chunks the others hold cannot be foreseen.
        self.scores[place] += if is_touched { score } else { 0.0 };
    }

    /// Hands out the sums in order, but for those below the threshold, and clears them.
    pub(super) fn drain(&mut self, first: i32, sink: &mut impl Sink) {
        for (number, word) in self.touched.iter_mut().enumerate() {
            while *word != 0 {
                let place = number * WORD + word.trailing_zeros() as usize;
                *word &= *word - 1;
                let score = std::mem::take(&mut self.scores[place]);
                if score < sink.threshold() {
                    continue;
                }
                sink.add(ScoredChunk {
                    // The place is the distance of an i32 from the first.
                    chunk_no: first.wrapping_add_unsigned(place as u32),
                    ordinal: self.ordinals[place],
                    score,
                });
            }
        }
    }
}
