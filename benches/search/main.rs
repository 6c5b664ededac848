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
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;
use std::time::Instant;

use bailiwick::identity::TenantId;
use bailiwick::maintenance::{self, Scope};
use clap::Parser;
use serde_json::json;
use world::client::{MODEL, Service};
use world::database::{Database, Loaded};
use world::vectors::Space;
use world::{Result, debian, skew};

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
    /// Where to write the report; target/bench/search-CHUNKSxDIMENSIONS.json if absent
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A tenant of the bench.
struct Sized {
    id: TenantId,
    number: usize,
    chunks: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let texts = debian::descriptions(arguments.chunks + 1_000)?;
    let database = Database::create("bench_search", arguments.dimensions).await?;
    let space = Space::new(usize::from(arguments.dimensions), 200, 7);
    let mut sizes = if arguments.words_only { vec![arguments.chunks] } else { skew::tenants(arguments.chunks) };
    // One whose size is the same however large the others are.
    sizes.push(1_000);

    let started = Instant::now();
    let service = Service::start(&database).await?;
    let mut tenants = Vec::new();
    // Texts in no order, so that each tenant has a bit of everything.
    let step = coprime(texts.len());
    let mut next = 0;
    for (number, chunks) in sizes.into_iter().enumerate() {
        let id = database.tenant(&format!("tenant-{number}")).await?;
        let first = next;
        let documents = (0..chunks).map(|at| {
            let text = &texts[(first + at) * step % texts.len()];
            let vector = (!arguments.words_only).then(|| space.document(number, at));
            Loaded { title: text.title.clone(), body: text.body.clone(), vector }
        });
        database.load(id, MODEL, documents, 500).await?;
        next += chunks;
        tenants.push(Sized { id, number, chunks });
    }
    let load_s = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let client = database.connect().await?;
    let observer = database.connect().await?;
    let report = maintenance::run(&client, Some(&observer), Scope::Everything, None).await?;
    let maintain_s = started.elapsed().as_secs_f64();
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    println!(
        "{} chunks x {}: loaded in {load_s:.0} s, maintained in {maintain_s:.0} s",
        arguments.chunks, arguments.dimensions
    );

    let sizes = measure::sizes(&client).await?;
    let mut rows = Vec::new();
    println!("\np50 / p95 in ms; floor and ratio of p50s from the same run, query by query");
    println!(
        "{:>8} {:>7} {:>15} {:>15} {:>15} {:>15} {:>6} {:>9}",
        "chunks", "queries", "whole call", "floor", "words", "vectors", "ratio", "recall@10"
    );
    let mut seen = Vec::new();
    for tenant in &tenants {
        if seen.contains(&tenant.chunks) {
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
        "maintenance": report, "sizes": sizes, "tenants": rows, "throughput": throughput, "common_term": common, "reference": reference,
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

/// A stride that visits every text once.
fn coprime(count: usize) -> usize {
    let mut step = 7_919;
    while count.is_multiple_of(step) {
        step += 2;
    }
    step
}
