//! A tenant's data in a file, and back from it into this or another database.
//!
//! The file is JSON lines, compressed by gzip where its name ends in `.gz` (`format` says what is in a line). It holds the
//! tenant's settings and limits, and each document with its metadata, its passages and their vectors. It does not hold its keys,
//! its audit trail and its costs, which are of the database that they came from.

mod error;
mod export;
mod format;
mod import;
mod lines;
mod reader;
mod rows;
mod writer;

pub use error::TransferError;
pub use export::{Exported, export};
pub use format::FORMAT;
pub use import::{ImportOptions, Imported, Step, import};
