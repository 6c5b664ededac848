//! Documents: language, chunks, and their way into the database.

pub mod chunking;
mod idempotency;
mod insert;
pub mod language;
mod quota;
pub mod script;

pub use insert::{Analysis, Inserted, NewDocument, OwnEmbedding, insert};
pub use quota::Quota;
