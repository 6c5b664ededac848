//! A term's postings in order, merged and fresh.

use std::slice::Iter;

use super::weight::{LengthNorm, Scorer};
use super::{Posting, TermPostings};
use crate::search::postings::Damaged;
use crate::search::postings::list::List;

/// A term's postings, and how far they have been read. A chunk is either merged or fresh.
pub(super) struct Cursor<'a> {
    scorer: Scorer,
    merged: Merged<'a>,
    /// In order, and how many of them have been handed out.
    fresh: Vec<Posting>,
    read: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(term: &'a TermPostings<'a>, weight: f64, df: usize, norm: LengthNorm) -> Result<Self, Damaged> {
        let mut fresh = term.fresh.clone();
        fresh.sort_unstable_by_key(|posting| posting.chunk_no);
        Ok(Self { scorer: Scorer::new(weight, df, norm), merged: Merged::new(&term.merged)?, fresh, read: 0 })
    }

    /// The most that the term may add to a chunk.
    pub(super) fn weight(&self) -> f64 {
        self.scorer.weight
    }

    /// The next posting's chunk.
    pub(super) fn chunk_no(&self) -> Option<i32> {
        let merged = self.merged.next().map(|posting| posting.chunk_no);
        let fresh = self.fresh.get(self.read).map(|posting| posting.chunk_no);
        merged.into_iter().chain(fresh).min()
    }

    /// Hands out the postings from here to a chunk number, past which the cursor moves, each with what it adds.
    #[inline]
    pub(super) fn take_below(&mut self, end: i64, mut each: impl FnMut(Posting, f64)) -> Result<(), Damaged> {
        let scorer = &self.scorer;
        self.merged.take_below(end, |posting| each(posting, scorer.score(posting.tf, posting.length)))?;
        while let Some(posting) = self.fresh.get(self.read).filter(|posting| i64::from(posting.chunk_no) < end) {
            each(*posting, scorer.score(posting.tf, posting.length));
            self.read += 1;
        }
        Ok(())
    }

    /// Passes over what comes before a chunk number, whole blocks unread.
    pub(super) fn skip_to(&mut self, chunk_no: i32) -> Result<(), Damaged> {
        self.read += self.fresh[self.read..].partition_point(|posting| posting.chunk_no < chunk_no);
        self.merged.skip_to(chunk_no)
    }
}

struct Merged<'a> {
    /// A block's postings, and how many of them have been handed out.
    block: Vec<Posting>,
    read: usize,
    lists: Iter<'a, List<'a>>,
}

impl<'a> Merged<'a> {
    fn new(lists: &'a [List<'a>]) -> Result<Self, Damaged> {
        let mut merged = Self { block: Vec::new(), read: 0, lists: lists.iter() };
        merged.refill()?;
        Ok(merged)
    }

    fn next(&self) -> Option<&Posting> {
        self.block.get(self.read)
    }

    /// Unpacks the next block once this one has been handed out.
    fn refill(&mut self) -> Result<(), Damaged> {
        while self.read == self.block.len() {
            let Some(list) = self.lists.next() else { return Ok(()) };
            let last = self.block.last().map(|posting| posting.chunk_no);
            self.block.clear();
            self.read = 0;
            list.read_into(&mut self.block)?;
            if self.next().is_some_and(|next| last.is_some_and(|last| next.chunk_no <= last)) {
                return Err(Damaged("blocks overlap"));
            }
        }
        Ok(())
    }

    #[inline]
    fn take_below(&mut self, end: i64, mut each: impl FnMut(Posting)) -> Result<(), Damaged> {
        loop {
            let mut read = self.read;
            while let Some(posting) = self.block.get(read)
                && i64::from(posting.chunk_no) < end
            {
                each(*posting);
                read += 1;
            }
            self.read = read;
            if read < self.block.len() {
                return Ok(());
            }
            self.refill()?;
            if self.next().is_none() {
                return Ok(());
            }
        }
    }

    fn skip_to(&mut self, chunk_no: i32) -> Result<(), Damaged> {
        if self.next().is_none_or(|next| next.chunk_no >= chunk_no) {
            return Ok(());
        }
        let mut passed = None;
        while let Some(list) = self.lists.as_slice().first()
            && list.first_chunk_no()?.is_some_and(|first| first <= chunk_no)
        {
            passed = self.lists.next();
        }
        if let Some(list) = passed {
            self.block.clear();
            self.read = 0;
            list.read_into(&mut self.block)?;
        }
        self.read += self.block[self.read..].partition_point(|posting| posting.chunk_no < chunk_no);
        self.refill()
    }
}
