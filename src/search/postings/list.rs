//! A term's postings as bytes.
//!
//! Each posting: varint of `distance << 2 | (ordinal > 0) << 1 | (tf > 1)`, with the distance from the chunk number before
//! (the first: the number itself); varint of the length; the ordinal if flagged; the frequency if flagged. A common term's
//! postings take two or three bytes.

use super::varint::{self, Reader};
use super::{Damaged, Posting};

const HAS_ORDINAL: u64 = 2;
const HAS_FREQUENCY: u64 = 1;

/// Appends one posting that follows `before` (0 for the first of a list, which may be number 0 itself).
pub(super) fn write(out: &mut Vec<u8>, before: i32, posting: &Posting) {
    let flags = if posting.ordinal > 0 { HAS_ORDINAL } else { 0 } | if posting.tf > 1 { HAS_FREQUENCY } else { 0 };
    varint::write(out, u64::from(posting.chunk_no.abs_diff(before)) << 2 | flags);
    varint::write(out, u64::from(posting.length));
    if posting.ordinal > 0 {
        varint::write(out, u64::from(posting.ordinal.unsigned_abs()));
    }
    if posting.tf > 1 {
        varint::write(out, u64::from(posting.tf));
    }
}

/// A packed list within a block.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) count: usize,
}

impl<'a> List<'a> {
    /// Number of postings.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first posting's chunk.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn first_chunk_no(&self) -> Result<Option<i32>, Damaged> {
        Ok(self.postings().read()?.map(|posting| posting.chunk_no))
    }

    /// The postings in order of chunk number.
    #[must_use]
    pub fn postings(&self) -> Postings<'a> {
        Postings { reader: Reader::new(self.bytes), left: self.count, chunk_no: None }
    }

    /// All postings.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn to_vec(&self) -> Result<Vec<Posting>, Damaged> {
        let mut all = Vec::new();
        self.read_into(&mut all)?;
        Ok(all)
    }

    /// Appends all postings: in one loop, which is far faster than one call a posting.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn read_into(&self, out: &mut Vec<Posting>) -> Result<(), Damaged> {
        // Every posting takes two bytes at least, so a false count reserves no memory to speak of.
        out.reserve(self.count.min(self.bytes.len() / 2));
        let mut postings = self.postings();
        while let Some(posting) = postings.read()? {
            out.push(posting);
        }
        Ok(())
    }
}

/// Reads a list. Not an `Iterator`, for a damaged list must end the search and not the list alone.
#[derive(Debug, Clone)]
pub struct Postings<'a> {
    reader: Reader<'a>,
    left: usize,
    chunk_no: Option<u64>,
}

impl Postings<'_> {
    /// The next posting.
    ///
    /// # Errors
    /// [`Damaged`] if the bytes are no list of that many postings in order.
    #[inline(always)]
    pub fn read(&mut self) -> Result<Option<Posting>, Damaged> {
        if self.left == 0 {
            return if self.reader.is_empty() {
                Ok(None)
            } else {
                Err(Damaged("a list has bytes after its last posting"))
            };
        }
        self.left -= 1;
        let word = self.reader.number()?;
        let distance = word >> 2;
        let chunk_no = match self.chunk_no {
            None => distance,
            Some(_) if distance == 0 => return Err(Damaged("a list names a chunk twice")),
            Some(before) => before.saturating_add(distance),
        };
        self.chunk_no = Some(chunk_no);
        let chunk_no = i32::try_from(chunk_no).map_err(|_| Damaged("a chunk number is too large"))?;
        let length = u32::try_from(self.reader.number()?).map_err(|_| Damaged("a length is too large"))?;
        let ordinal = if word & HAS_ORDINAL == 0 {
            0
        } else {
            let ordinal = self.reader.number()?;
            let ordinal = i32::try_from(ordinal).ok().filter(|ordinal| *ordinal <= chunk_no);
            ordinal.ok_or(Damaged("an ordinal is too large"))?
        };
        let tf = if word & HAS_FREQUENCY == 0 {
            1
        } else {
            let tf = u32::try_from(self.reader.number()?).ok().filter(|tf| *tf > 0);
            tf.ok_or(Damaged("a frequency is out of range"))?
        };
        Ok(Some(Posting { chunk_no, ordinal, tf, length }))
    }
}
