//! The embedded PostgreSQL, on real servers and real processes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]
#![expect(clippy::disallowed_methods, reason = "the server itself is tested, before there is any schema")]

mod clusters;
mod crashes;
mod downloads;
mod refusals;
mod restoring;
mod sharing;
mod support;
