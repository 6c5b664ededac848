//! The embedded PostgreSQL, on real servers and real processes.

mod clusters;
mod crashes;
mod downloads;
mod refusals;
mod sharing;
mod support;
