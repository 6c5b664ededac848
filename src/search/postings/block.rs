//! Blocks of packed postings (`posting_blocks.postings`).
//!
//! ```text
//! version (1 byte) · CRC-32 of the rest (4 bytes, little endian) · entries, in order of lexeme
//! entry = varint bytes shared with the lexeme before · varint bytes of its own · those bytes
//!       · varint bytes of the list · varint number of postings · the list
//! ```

use super::list::{self, List};
use super::varint::{self, Reader};
use super::{Damaged, Posting};

/// A block with its row takes at most half a page of PostgreSQL's.
pub const LARGEST_BYTES: usize = 3_900;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
/// A list up to this size goes whole into the next block rather than in two parts.
const UNDIVIDED_BYTES: usize = 512;

/// A block whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    entries: &'a [u8],
}

/// A block to store: its key, what it holds, its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The first lexeme.
    pub first_lexeme: String,
    /// The first chunk of the first lexeme.
    pub first_chunk_no: i32,
    /// Different lexemes.
    pub lexeme_count: usize,
    /// Postings of all lexemes.
    pub posting_count: usize,
    /// The block.
    pub bytes: Vec<u8>,
}

impl<'a> Block<'a> {
    /// Opens a block.
    ///
    /// # Errors
    /// [`Damaged`] for another version or a wrong checksum.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (header, entries) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Damaged("a block ends in its header"))?;
        let [version, checksum @ ..] = header;
        if *version != VERSION {
            return Err(Damaged("a block has an unknown version"));
        }
        if u32::from_le_bytes(*checksum) != crc32fast::hash(entries) {
            return Err(Damaged("a block's checksum is wrong"));
        }
        Ok(Self { entries })
    }

    /// The postings of a lexeme, if the block holds it.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn find(&self, lexeme: &str) -> Result<Option<List<'a>>, Damaged> {
        let mut entries = self.entries();
        while let Some(list) = entries.next()? {
            match entries.lexeme.as_slice().cmp(lexeme.as_bytes()) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Ok(Some(list)),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    /// All entries, unpacked.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn unpack(&self) -> Result<Vec<(String, Vec<Posting>)>, Damaged> {
        let mut all = Vec::new();
        let mut entries = self.entries();
        while let Some(list) = entries.next()? {
            let lexeme = std::str::from_utf8(&entries.lexeme).map_err(|_| Damaged("a lexeme is not UTF-8"))?;
            all.push((lexeme.to_owned(), list.to_vec()?));
        }
        Ok(all)
    }

    /// Each lexeme with its number of postings.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn lexemes(&self) -> Result<Vec<(String, usize)>, Damaged> {
        let mut all = Vec::new();
        let mut entries = self.entries();
        while let Some(list) = entries.next()? {
            let lexeme = std::str::from_utf8(&entries.lexeme).map_err(|_| Damaged("a lexeme is not UTF-8"))?;
            all.push((lexeme.to_owned(), list.count));
        }
        Ok(all)
    }

    fn entries(&self) -> Entries<'a> {
        Entries { reader: Reader::new(self.entries), lexeme: Vec::new() }
    }
}

struct Entries<'a> {
    reader: Reader<'a>,
    lexeme: Vec<u8>,
}

impl<'a> Entries<'a> {
    /// The next list, whose lexeme is then in `self.lexeme`.
    fn next(&mut self) -> Result<Option<List<'a>>, Damaged> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let shared = self.reader.count()?;
        let own_bytes = self.reader.count()?;
        let own = self.reader.take(own_bytes)?;
        let before = self.lexeme.get(shared..).ok_or(Damaged("a lexeme shares more than there is"))?;
        if own <= before {
            return Err(Damaged("lexemes are out of order"));
        }
        self.lexeme.truncate(shared);
        self.lexeme.extend_from_slice(own);
        let list_bytes = self.reader.count()?;
        let count = self.reader.count()?;
        if count == 0 {
            return Err(Damaged("a lexeme has no postings"));
        }
        Ok(Some(List { bytes: self.reader.take(list_bytes)?, count }))
    }
}

/// Packs entries, in order of lexeme and each with postings in order of chunk number, into blocks that are about equally full.
#[must_use]
pub fn pack(entries: &[(String, Vec<Posting>)]) -> Vec<Packed> {
    let whole = packed_bytes(entries);
    // Halving a block that has grown too large leaves room in both halves, as in a B-tree.
    let blocks = whole.div_ceil(LARGEST_BYTES - HEADER_BYTES).max(1);
    let target = if blocks == 1 {
        LARGEST_BYTES
    } else {
        (whole / blocks + HEADER_BYTES + UNDIVIDED_BYTES / 2).min(LARGEST_BYTES)
    };
    let mut packer = Packer {
        target,
        packed: Vec::new(),
        bytes: vec![0; HEADER_BYTES],
        first: None,
        lexeme: "",
        lexeme_count: 0,
        count: 0,
    };
    for (lexeme, postings) in entries {
        packer.add(lexeme, postings);
    }
    packer.end_block();
    packer.packed
}

fn packed_bytes(entries: &[(String, Vec<Posting>)]) -> usize {
    let mut list = Vec::new();
    let mut bytes = 0;
    let mut lexeme_before = "";
    for (lexeme, postings) in entries {
        list.clear();
        let mut before = 0;
        for posting in postings {
            list::write(&mut list, before, posting);
            before = posting.chunk_no;
        }
        bytes += list.len() + lexeme.len() - shared_bytes(lexeme_before, lexeme) + 6;
        lexeme_before = lexeme;
    }
    bytes
}

fn shared_bytes(before: &str, lexeme: &str) -> usize {
    before.bytes().zip(lexeme.bytes()).take_while(|(a, b)| a == b).count()
}

struct Packer<'a> {
    target: usize,
    packed: Vec<Packed>,
    bytes: Vec<u8>,
    first: Option<(&'a str, i32)>,
    /// The last lexeme of this block.
    lexeme: &'a str,
    lexeme_count: usize,
    count: usize,
}

impl<'a> Packer<'a> {
    fn add(&mut self, lexeme: &'a str, mut postings: &'a [Posting]) {
        while let Some(first) = postings.first() {
            let room = self.target.saturating_sub(self.bytes.len() + lexeme.len() + 8);
            let mut list = Vec::new();
            let mut before = 0;
            let mut fitting = 0;
            for posting in postings {
                let end = list.len();
                list::write(&mut list, before, posting);
                if list.len() > room {
                    list.truncate(end);
                    break;
                }
                before = posting.chunk_no;
                fitting += 1;
            }
            let would_divide_a_little = fitting < postings.len() && list.len() < UNDIVIDED_BYTES;
            if self.first.is_some() && would_divide_a_little {
                self.end_block();
                continue;
            }
            if fitting == 0 {
                // Alone in its block and still too large for the target: PostgreSQL's largest lexeme (2,046 bytes) leaves room enough.
                list::write(&mut list, 0, first);
                fitting = 1;
            }
            self.entry(lexeme, first.chunk_no, &list, fitting);
            postings = &postings[fitting..];
        }
    }

    fn entry(&mut self, lexeme: &'a str, first_chunk_no: i32, list: &[u8], count: usize) {
        let shared = match self.first {
            Some(_) => shared_bytes(self.lexeme, lexeme),
            None => 0,
        };
        self.first.get_or_insert((lexeme, first_chunk_no));
        varint::write(&mut self.bytes, shared as u64);
        varint::write(&mut self.bytes, (lexeme.len() - shared) as u64);
        self.bytes.extend_from_slice(&lexeme.as_bytes()[shared..]);
        varint::write(&mut self.bytes, list.len() as u64);
        varint::write(&mut self.bytes, count as u64);
        self.bytes.extend_from_slice(list);
        self.lexeme = lexeme;
        self.lexeme_count += 1;
        self.count += count;
    }

    fn end_block(&mut self) {
        let Some((first_lexeme, first_chunk_no)) = self.first.take() else { return };
        let mut bytes = std::mem::replace(&mut self.bytes, vec![0; HEADER_BYTES]);
        let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
        bytes[0] = VERSION;
        bytes[1..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        self.packed.push(Packed {
            first_lexeme: first_lexeme.to_owned(),
            first_chunk_no,
            lexeme_count: std::mem::take(&mut self.lexeme_count),
            posting_count: std::mem::take(&mut self.count),
            bytes,
        });
    }
}

#[cfg(test)]
mod tests;
