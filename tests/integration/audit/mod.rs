//! One audit row for each call, however it ends.

mod ends;
mod faults;
mod tools;
