//! Time and size of a backup and a restore, and whether searches answer the same behind them: `cargo bench --bench backup -- --help`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "benches share modules, do not use all of each, and go past the doors to arrange and to compare"
)]

#[path = "../search/sized.rs"]
mod sized;
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;
use std::time::Instant;

use bailiwick::db::admin;
use clap::Parser;
use serde_json::{Value, json};
use sized::World;
use tokio_postgres::Config;
use world::client::Service;
use world::database::{Database, data_dir, url};
use world::debian::{self, Text};
use world::vectors::Space;
use world::{Result, program};

/// Backs up, drops, restores, and compares.
#[derive(Parser)]
struct Arguments {
    /// Chunks of all tenants together
    #[arg(long, default_value_t = 100_000)]
    chunks: usize,
    /// Dimensions of the vectors
    #[arg(long, default_value_t = 1_536)]
    dimensions: u16,
    /// Queries a tenant size and kind
    #[arg(long, default_value_t = 40)]
    queries: usize,
    /// One tenant with all chunks and no vectors: the words' side alone
    #[arg(long)]
    words_only: bool,
    /// Keep the database of an earlier run, if it was of the same world
    #[arg(long)]
    reuse: bool,
    /// How to compress, as `bailiwick backup --compress` takes it
    #[arg(long, default_value = "gzip:1")]
    compress: String,
    /// Where to write the report; target/bench/backup-CHUNKSxDIMENSIONS.json if absent
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// How many answers are the same.
#[derive(Default)]
struct Equal {
    same: usize,
    of: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let texts = debian::descriptions(arguments.chunks + 1_000)?;
    let space = Space::new(usize::from(arguments.dimensions), 200, 7);
    let world = World::make(&arguments, &texts, &space).await?;
    let before = answers(&arguments, &world, &texts, &space).await?;
    let postgres = admin::connect(Config::clone(&world.database.admin).dbname("postgres")).await?;
    let name = world.database.admin.get_dbname().unwrap_or_default().to_owned();
    let row = postgres.query_one("SELECT pg_database_size($1::text::name)", &[&name]).await?;
    let database_bytes: i64 = row.try_get(0)?;
    let folder = tempfile::tempdir_in(data_dir())?;
    let file = folder.path().join("backup").display().to_string();

    let started = Instant::now();
    let made = run(&world.database, &["backup", "--json", "--compress", &arguments.compress, &file]).await?;
    let backup_s = started.elapsed().as_secs_f64();
    let backup_bytes = made["backup"]["bytes"].as_u64().unwrap_or_default();
    let started = Instant::now();
    run(&world.database, &["restore", "--check", "--json", &file]).await?;
    let check_s = started.elapsed().as_secs_f64();
    admin::drop_database(&postgres, &name).await?;
    let started = Instant::now();
    let restored = run(&world.database, &["restore", "--json", &file]).await?;
    let restore_s = started.elapsed().as_secs_f64();
    let after = answers(&arguments, &world, &texts, &space).await?;

    let mut rows = Vec::new();
    println!(
        "{name}: {} MiB; backup {} MiB in {backup_s:.0} s, checked in {check_s:.1} s; restored and verified in {restore_s:.0} s",
        database_bytes >> 20,
        backup_bytes >> 20
    );
    println!("equal to the byte: {}", restored["equal"]);
    for (kind, sides) in before.iter().zip(&after).map(|((kind, one), (_, other))| (kind, one.iter().zip(other))) {
        let equal = sides.fold(Equal::default(), |equal, (one, other)| Equal {
            same: equal.same + usize::from(one == other),
            of: equal.of + 1,
        });
        println!("{kind:>30}: {} of {} answers the same to the byte", equal.same, equal.of);
        rows.push(json!({ "kind": kind, "same": equal.same, "of": equal.of }));
    }
    let report = json!({
        "chunks": arguments.chunks, "dimensions": arguments.dimensions, "compress": arguments.compress, "database_bytes": database_bytes,
        "backup_s": backup_s, "backup_bytes": backup_bytes, "check_s": check_s, "restore_s": restore_s, "equal": restored["equal"],
        "sound": restored["sound"], "answers": rows,
    });
    let path = arguments
        .json
        .unwrap_or_else(|| format!("target/bench/backup-{}x{}.json", arguments.chunks, arguments.dimensions).into());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, serde_json::to_string_pretty(&report)?)?;
    println!("report: {}", path.display());
    Ok(())
}

/// The program, which must succeed; what it printed.
async fn run(database: &Database, arguments: &[&str]) -> Result<Value> {
    let mut command = program::Embedder::None.program(database, "tenant-0")?;
    let bin = bailiwick::embedded::EmbeddedServer::start(bailiwick::embedded::Options::new(data_dir())).await;
    let bin = bin.map_err(|error| bailiwick::embedded::explain(&error))?.bin_dir().to_owned();
    let output = command.args(arguments).env("BAILIWICK_PG_BIN", bin).output().await?;
    if !output.status.success() {
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return Err(format!("{arguments:?} on {}: {told}", url(&database.admin)?).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Answers of a tenant of each size, by words, by vectors and by both, without the time that they took.
async fn answers(
    arguments: &Arguments,
    world: &World,
    texts: &[Text],
    space: &Space,
) -> Result<Vec<(String, Vec<String>)>> {
    let service = Service::start(&world.database).await?;
    let (mut answers, mut seen) = (Vec::new(), Vec::new());
    for tenant in &world.tenants {
        if seen.contains(&tenant.chunks) {
            continue;
        }
        seen.push(tenant.chunks);
        let session = service.session(tenant.id).await?;
        let queries = debian::queries(texts, arguments.queries, tenant.number as u64 + 1);
        for kind in ["words", "both sides", "vectors"] {
            if arguments.words_only && kind != "words" {
                continue;
            }
            let mut told = Vec::new();
            for (number, query) in queries.iter().enumerate() {
                let mut call = json!({ "query": query });
                if kind != "words" {
                    call["query_embedding"] = json!(space.query_like(tenant.number, number));
                }
                if kind == "vectors" {
                    (call["bm25_weight"], call["vector_weight"]) = (json!(0), json!(1));
                }
                let mut answer = session.call("hybrid_search", call).await?;
                if let Some(answer) = answer.as_object_mut() {
                    answer.remove("duration_ms");
                }
                told.push(answer.to_string());
            }
            answers.push((format!("{} chunks, {kind}", tenant.chunks), told));
        }
    }
    Ok(answers)
}
