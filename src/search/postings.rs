//! Postings: which chunk holds a term how often, and how they are packed.
//!
//! A tenant's merged postings are sorted by lexeme and chunk number and cut into blocks of at most
//! [`block::LARGEST_BYTES`], like the leaves of a B-tree: a common lexeme fills many blocks, rare ones share one, so that
//! the long tail of a vocabulary costs no row of its own. Within a lexeme chunk numbers are delta-coded, and everything
//! is a LEB128 varint (Lucene's `VInt`). What is not merged yet stands in fresh rows, one a chunk.

pub mod block;
mod chunk_set;
pub mod list;
mod terms;
mod varint;

pub use chunk_set::ChunkSet;
pub use terms::TermVector;

/// One term's occurrence in one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The chunk. A document's chunks are numbered consecutively.
    pub chunk_no: i32,
    /// The chunk's index in its document, from 0; never above `chunk_no`.
    pub ordinal: i32,
    /// How often the chunk holds the term; at least 1.
    pub tf: u32,
    /// The chunk's length in terms.
    pub length: u32,
}

/// Bytes that are no postings as we pack them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged postings: {0}; `bailiwick maintain --rebuild` makes the index anew from the documents")]
pub struct Damaged(pub(crate) &'static str);
