//! Searches on a streaming replica: what they may not differ in, and where they go when it is not fit.

mod answers;
mod conflicts;
mod own_writes;
mod pair;
mod troubles;
