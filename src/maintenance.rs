//! Work on the indexes behind the calls' backs: merging fresh postings into blocks, clearing away deleted chunks,
//! making and dropping the vector indexes of tenants that have grown or shrunk, preparing partitions.
//!
//! Several servers may do it at once: a tenant is worked on under a lock of its own, and who does not get it goes on to
//! the next. Nothing here keeps a search or an insert waiting.

mod background;
mod check;
mod housekeeping;
pub(crate) mod lock;
mod merge;
pub mod metering;
mod pass;
mod purge;
mod rebuild;
mod refill;
mod vectors;

pub use background::spawn;
pub use check::{IndexReport, check};
pub use housekeeping::{Housekeeping, Kept};
pub(crate) use lock::{MOVES, try_take};
pub use pass::{Report, Scope, TenantReport, merge_step, run, settle_vectors};
pub use vectors::PROMOTE_AT_VECTORS;
pub(crate) use vectors::{build_next_index, drop_indexes as drop_vector_indexes};
