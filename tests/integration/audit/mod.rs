//! One audit row for each call, however it ends.

mod commits;
mod ends;
mod faults;
mod tools;
