//! What the benches stand on: the embedded PostgreSQL, a fresh database, tenants, texts and vectors, MCP clients.

pub mod client;
pub mod database;
pub mod debian;
pub mod latency;
pub mod program;
pub mod python;
pub mod skew;
pub mod vectors;

/// Whatever goes wrong ends the bench with its words.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
