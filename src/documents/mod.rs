//! Documents: language, chunks, their way into the database, and what becomes of them there.

pub mod chunking;
mod cursor;
mod cutting;
mod delete;
pub(crate) mod idempotency;
mod insert;
pub mod language;
mod list;
mod new;
mod plan;
mod quota;
mod read;
mod recut;
pub mod script;
mod update;

pub use cursor::{Cursor, Order};
pub use cutting::{Cutting, Tokens};
pub use delete::delete;
pub use insert::{How, Inserted, Insertion, Item, insert};
pub use list::{ListFilter, Listed, Listing, list};
pub use new::{Analysis, NewDocument, OwnEmbedding};
pub use plan::{Prospect, prospects};
pub use quota::{Full, Quota, Room};
pub use read::{Read, Stretch, read};
pub use recut::recut;
pub use update::{Change, Changed, Recut, Update, Updated, update};
