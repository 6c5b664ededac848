//! Searches on a streaming replica: what they may not differ in, and where they go when it is not fit.

mod answers;
mod balancer;
mod conflicts;
mod hosts;
mod members;
mod own_writes;
mod pair;
mod probe;
mod resting;
mod standby;
mod troubles;
