//! What the tests stand on: the embedded PostgreSQL, a fresh database a test, tenants, and MCP clients.

mod builds;
mod client;
mod clocks;
mod database;
mod process;
mod proxy;
mod server;
mod skips;
mod waiting;

pub use client::{Session, error_text};
pub use clocks::{clock_of, libfaketime};
pub use database::{Tenant, TestDatabase, url};
pub use process::Process;
pub use proxy::{Fault, Proxy};
pub use server::{data_dir, server};
pub use skips::{Lacking, skip};
pub use waiting::{ASLEEP, Gate, PATIENCE, asleep, under_way, until};
