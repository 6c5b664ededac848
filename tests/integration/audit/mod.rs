//! One audit row for each call, however it ends.

mod cancellation;
mod commits;
mod drain;
mod elsewhere;
mod ends;
mod faults;
mod intents;
mod privacy;
mod spool;
pub mod tools;
