//! Work on the indexes: what it makes, that several may do it, and that its check finds every fault.

mod commands;
mod faults;
mod vectors;
