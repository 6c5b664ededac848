//! Every integration test, in one binary: they share one embedded PostgreSQL, and each has a database of its own.

mod harness;
mod stdio;
mod tools;
