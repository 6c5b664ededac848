//! A term's postings in order, merged and fresh.

use std::iter::Peekable;
use std::slice::Iter;
use std::vec::IntoIter;

use super::weight::{LengthNorm, Scorer};
use super::{Posting, TermPostings};
use crate::search::postings::Damaged;
use crate::search::postings::list::{List, Postings};

/// A term's postings, and how far they have been read. A chunk is either merged or fresh.
pub(super) struct Cursor<'a> {
    scorer: Scorer,
    merged: Merged<'a>,
    fresh: Peekable<IntoIter<Posting>>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(term: &'a TermPostings<'a>, weight: f64, df: usize, norm: LengthNorm) -> Result<Self, Damaged> {
        let mut fresh = term.fresh.clone();
        fresh.sort_unstable_by_key(|posting| posting.chunk_no);
        Ok(Self {
            scorer: Scorer::new(weight, df, norm),
            merged: Merged::new(&term.merged)?,
            fresh: fresh.into_iter().peekable(),
        })
    }

    /// The most that the term may add to a chunk.
    pub(super) fn weight(&self) -> f64 {
        self.scorer.weight
    }

    /// The next posting's chunk.
    pub(super) fn chunk_no(&self) -> Option<i32> {
        let merged = self.merged.next.map(|posting| posting.chunk_no);
        let fresh = self.fresh.clone().next().map(|posting| posting.chunk_no);
        merged.into_iter().chain(fresh).min()
    }

    /// Hands out the postings from here to a chunk number, past which the cursor moves, each with what it adds.
    #[inline]
    pub(super) fn take_below(&mut self, end: i64, mut each: impl FnMut(Posting, f64)) -> Result<(), Damaged> {
        let scorer = &self.scorer;
        self.merged.take_below(end, |posting| each(posting, scorer.score(posting.tf, posting.length)))?;
        while let Some(posting) = self.fresh.next_if(|posting| i64::from(posting.chunk_no) < end) {
            each(posting, scorer.score(posting.tf, posting.length));
        }
        Ok(())
    }

    /// Passes over what comes before a chunk number, whole blocks unread.
    pub(super) fn skip_to(&mut self, chunk_no: i32) -> Result<(), Damaged> {
        while self.fresh.next_if(|posting| posting.chunk_no < chunk_no).is_some() {}
        self.merged.skip_to(chunk_no)
    }
}

struct Merged<'a> {
    next: Option<Posting>,
    postings: Option<Postings<'a>>,
    lists: Iter<'a, List<'a>>,
}

impl<'a> Merged<'a> {
    fn new(lists: &'a [List<'a>]) -> Result<Self, Damaged> {
        let mut merged = Self { next: None, postings: None, lists: lists.iter() };
        merged.next = merged.read()?;
        Ok(merged)
    }

    #[inline]
    fn read(&mut self) -> Result<Option<Posting>, Damaged> {
        loop {
            if let Some(postings) = &mut self.postings
                && let Some(posting) = postings.read()?
            {
                return Ok(Some(posting));
            }
            match self.lists.next() {
                Some(list) => self.postings = Some(list.postings()),
                None => return Ok(None),
            }
        }
    }

    #[inline]
    fn take_below(&mut self, end: i64, mut each: impl FnMut(Posting)) -> Result<(), Damaged> {
        while let Some(posting) = self.next
            && i64::from(posting.chunk_no) < end
        {
            each(posting);
            self.next = self.read()?;
            if self.next.is_some_and(|next| next.chunk_no <= posting.chunk_no) {
                return Err(Damaged("blocks overlap"));
            }
        }
        Ok(())
    }

    fn skip_to(&mut self, chunk_no: i32) -> Result<(), Damaged> {
        if self.next.is_none_or(|next| next.chunk_no >= chunk_no) {
            return Ok(());
        }
        let mut passed = false;
        while let Some(list) = self.lists.as_slice().first()
            && list.first_chunk_no()?.is_some_and(|first| first <= chunk_no)
        {
            self.postings = Some(list.postings());
            self.lists.next();
            passed = true;
        }
        if passed {
            self.next = self.read()?;
        }
        self.take_below(i64::from(chunk_no), |_| ())
    }
}
