//! Speed, recall and size of a search, by size of tenant: `cargo bench --bench search -- --help`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "benches share modules, do not use all of each, and go past the doors to arrange and to compare"
)]

mod floor;
mod measure;
mod reference;
mod sized;
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;

use clap::Parser;
use serde_json::json;
use sized::{Sized, World};
use world::client::Service;
use world::vectors::Space;
use world::{Result, debian};

/// Measures searches.
#[derive(Parser)]
struct Arguments {
    /// Chunks of all tenants together
    #[arg(long, default_value_t = 100_000)]
    chunks: usize,
    /// Dimensions of the vectors
    #[arg(long, default_value_t = 1_536)]
    dimensions: u16,
    /// Queries a tenant, half of them like its documents and half unlike
    #[arg(long, default_value_t = 200)]
    queries: usize,
    /// One tenant with all chunks and no vectors: the words' side alone
    #[arg(long)]
    words_only: bool,
    /// Also time the reference design's function (its table and indexes take some minutes to make)
    #[arg(long)]
    reference: bool,
    /// Keep the database of an earlier run, if it was of the same world: its load and maintenance are not measured then
    #[arg(long)]
    reuse: bool,
    /// Measure only tenants of these sizes, in chunks, as the table has them: 50000,349
    #[arg(long, value_delimiter = ',')]
    only: Vec<usize>,
    /// Where to write the report; target/bench/search-CHUNKSxDIMENSIONS.json if absent
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let texts = debian::descriptions(arguments.chunks + 1_000)?;
    let space = Space::new(usize::from(arguments.dimensions), 200, 7);
    let World { database, tenants, load_s, maintain_s, maintenance } = World::make(&arguments, &texts, &space).await?;
    let service = Service::start(&database).await?;
    let client = database.connect().await?;
    let sizes = measure::sizes(&client).await?;
    let mut rows = Vec::new();
    println!("\np50 / p95 in ms; floor and ratio of p50s from the same run, query by query");
    println!(
        "{:>8} {:>7} {:>15} {:>15} {:>15} {:>15} {:>6} {:>9}",
        "chunks", "queries", "whole call", "floor", "words", "vectors", "ratio", "recall@10"
    );
    let mut seen = Vec::new();
    for tenant in &tenants {
        let is_wanted = arguments.only.is_empty() || arguments.only.contains(&tenant.chunks);
        if !is_wanted || seen.contains(&tenant.chunks) {
            continue;
        }
        seen.push(tenant.chunks);
        for like in [true, false] {
            let row = measure::tenant(
                &database,
                &service,
                &space,
                &texts,
                tenant,
                like,
                arguments.queries / 2,
                arguments.words_only,
            )
            .await?;
            rows.push(row);
        }
    }
    let throughput = measure::throughput(&service, &space, &texts, &tenants[0], arguments.words_only).await?;
    let common = measure::common_term(&service, &texts, &tenants[0]).await?;
    let reference = match arguments.reference {
        true => Some(reference::measure(&database, &space, &texts, &tenants[0], arguments.dimensions).await?),
        false => None,
    };
    let report = json!({
        "chunks": arguments.chunks, "dimensions": arguments.dimensions, "load_s": load_s, "maintain_s": maintain_s,
        "maintenance": maintenance, "sizes": sizes, "tenants": rows, "throughput": throughput, "common_term": common, "reference": reference,
    });
    let path = arguments
        .json
        .unwrap_or_else(|| format!("target/bench/search-{}x{}.json", arguments.chunks, arguments.dimensions).into());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, serde_json::to_string_pretty(&report)?)?;
    println!("\nreport: {}", path.display());
    Ok(())
}
