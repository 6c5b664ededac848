//! The best documents out of a stream of chunks.

use std::cmp::Ordering;

use super::{RankedDocument, ScoredChunk, Sink};

/// Takes chunks in order of chunk number, so that those of a document follow one another.
pub(super) struct Best {
    depth: usize,
    /// The best chunk so far of the document that is being read.
    current: Option<ScoredChunk>,
    /// The best documents so far, in no order, with some that are no longer among them.
    kept: Vec<ScoredChunk>,
    /// The last of the best when `kept` was last cut down.
    threshold: Option<ScoredChunk>,
}

impl Best {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, current: None, kept: Vec::new(), threshold: None }
    }

    fn end_document(&mut self) {
        let Some(chunk) = self.current.take() else {
            return;
        };
        if self.threshold.is_some_and(|threshold| best_first(&chunk, &threshold).is_gt()) {
            return;
        }
        self.kept.push(chunk);
        // Cutting down at twice the depth costs a constant for each document.
        if self.kept.len() > self.depth.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.depth < self.kept.len() {
            if let Some(last) = self.depth.checked_sub(1) {
                let (_, worst, _) = self.kept.select_nth_unstable_by(last, best_first);
                self.threshold = Some(*worst);
            }
            self.kept.truncate(self.depth);
        }
    }

    /// The best documents in order of rank.
    pub(super) fn into_documents(mut self) -> Vec<RankedDocument> {
        self.end_document();
        self.cut();
        self.kept.sort_unstable_by(best_first);
        let ranked = self.kept.iter().zip(1..).map(|(chunk, rank)| RankedDocument {
            first_chunk_no: first_chunk_no(chunk),
            chunk_no: chunk.chunk_no,
            score: chunk.score,
            rank,
        });
        ranked.collect()
    }
}

impl Sink for Best {
    fn add(&mut self, chunk: ScoredChunk) {
        match &mut self.current {
            Some(current) if first_chunk_no(current) == first_chunk_no(&chunk) => {
                if best_first(&chunk, current).is_lt() {
                    *current = chunk;
                }
            }
            _ => {
                self.end_document();
                self.current = Some(chunk);
            }
        }
    }

    fn threshold(&self) -> f64 {
        self.threshold.map_or(f64::NEG_INFINITY, |threshold| threshold.score)
    }
}

fn first_chunk_no(chunk: &ScoredChunk) -> i32 {
    chunk.chunk_no.wrapping_sub(chunk.ordinal)
}

fn best_first(a: &ScoredChunk, b: &ScoredChunk) -> Ordering {
    b.score.total_cmp(&a.score).then(a.chunk_no.cmp(&b.chunk_no))
}
