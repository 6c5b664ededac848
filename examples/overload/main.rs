//! What happens when more calls come than can be served, what one noisy tenant costs the others, and what a row in the
//! trail costs a call.
//!
//! `cargo run --release --example overload -- --seconds 30`, and `-- --cost`. All in one process with PostgreSQL beside it: the
//! callers take their share of the same processors.

#![expect(clippy::print_stdout, reason = "figures are printed")]

mod cost;
mod figures;
mod flood;
mod neighbours;
mod service;
#[path = "../torture/world.rs"]
#[expect(dead_code, reason = "nothing is killed here")]
mod world;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Measures overload, noisy neighbours and the cost of the audit trail")]
struct Arguments {
    /// How long calls come four times as fast as they can be served
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Measure what audit row and fence cost a call instead
    #[arg(long)]
    cost: bool,
    /// Documents of each tenant
    #[arg(long, default_value_t = 300)]
    documents: usize,
    /// Calls of each kind and way with --cost
    #[arg(long, default_value_t = 1_000)]
    runs: usize,
    /// Folder of PostgreSQL's programs
    #[arg(long, env = "BAILIWICK_PG_BIN")]
    pg_bin: Option<PathBuf>,
}

/// Tenants that call.
const TENANTS: usize = 6;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::new("error");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let world = world::World::create(None, arguments.pg_bin.clone(), TENANTS).await?;
    let service = Arc::new(service::Service::open(&world, arguments.documents).await?);
    if arguments.cost {
        cost::measure(&world, &service, arguments.runs).await?;
    } else {
        let peak = flood::measure(&service, arguments.seconds).await?;
        neighbours::measure(&service, peak).await?;
    }
    service.calls.drain(std::time::Duration::from_secs(15)).await;
    Ok(())
}
