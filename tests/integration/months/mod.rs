//! Months: made ahead, crossed with calls under way, and dropped when they are no longer kept.

mod load;
mod partitions;
mod retention;
mod rollover;
