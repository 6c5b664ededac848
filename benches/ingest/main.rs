//! How fast documents come in, and what their fresh postings and merges cost: `cargo bench --bench ingest`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "benches share modules, do not use all of each, and go past the doors to arrange and to compare"
)]

mod command;
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;
use std::time::Instant;

use bailiwick::identity::TenantId;
use bailiwick::maintenance;
use bailiwick::search::filter::Filter;
use bailiwick::search::fusion::Weights;
use bailiwick::search::{self, Query, Search};
use clap::Parser;
use futures_util::SinkExt;
use serde_json::{Value, json};
use world::Result;
use world::client::{MODEL, Service};
use world::database::{Database, Loaded};
use world::debian::{self, Text};
use world::latency::Latency;
use world::vectors::Space;

const DIMENSIONS: u16 = 384;

/// Measures ingestion.
#[derive(Parser)]
struct Arguments {
    /// Documents of each way in
    #[arg(long, default_value_t = 2_000)]
    documents: usize,
    /// Size of the stream of JSON lines that the command reads, in MiB
    #[arg(long, default_value_t = 32)]
    jsonl_mib: usize,
    /// Documents that the command embeds, in this process and by a service
    #[arg(long, default_value_t = 400)]
    embedded: usize,
    /// Only the command
    #[arg(long)]
    command_only: bool,
    /// Where to write the report
    #[arg(long, default_value = "target/bench/ingest.json")]
    json: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let texts = debian::descriptions(20_000)?;
    let database = Database::create("bench_ingest", DIMENSIONS).await?;
    let space = Space::new(usize::from(DIMENSIONS), 200, 7);
    let sizes =
        command::Sizes { files: arguments.documents, jsonl_mib: arguments.jsonl_mib, embedded: arguments.embedded };
    if arguments.command_only {
        let report = json!({ "command": command::measure(&database, &texts, &sizes).await? });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let report = json!({
        "command": command::measure(&database, &texts, &sizes).await?,
        "commit": commits(&database).await?,
        "calls": calls(&database, &space, &texts, arguments.documents).await?,
        "batches": batches(&database, &space, &texts, arguments.documents).await?,
        "copy": copy(&database, &space, &texts, arguments.documents).await?,
        "fresh": fresh(&database, &texts).await?,
    });
    if let Some(folder) = arguments.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&arguments.json, serde_json::to_string_pretty(&report)?)?;
    Ok(())
}

/// The least that anything durable takes: one small row and its commit.
async fn commits(database: &Database) -> Result<Value> {
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE least (n integer)").await?;
    let mut latency = Latency::default();
    for _ in 0..300 {
        let started = Instant::now();
        client.execute("INSERT INTO least VALUES (1)", &[]).await?;
        latency.add(started);
    }
    println!("a row and its commit: {} ms (p50 / p95)", latency.cell());
    Ok(latency.json())
}

/// One document a call of the tool, by one caller and by four.
async fn calls(database: &Database, space: &Space, texts: &[Text], count: usize) -> Result<Value> {
    let service = Service::start(database).await?;
    let mut rows = Vec::new();
    for callers in [1, 4] {
        let tenant = database.tenant(&format!("calls-{callers}")).await?;
        let mut tasks = tokio::task::JoinSet::new();
        let started = Instant::now();
        for caller in 0..callers {
            let session = service.session(tenant).await?;
            let documents: Vec<Value> = (0..count / callers)
                .map(|at| {
                    let text = &texts[caller * count / callers + at];
                    json!({ "title": text.title, "content": text.body, "embedding": space.document(1, at) })
                })
                .collect();
            tasks.spawn(async move {
                let mut latency = Latency::default();
                for document in documents {
                    let started = Instant::now();
                    session.call("insert_document", document).await?;
                    latency.add(started);
                }
                Ok::<Latency, Box<dyn std::error::Error + Send + Sync>>(latency)
            });
        }
        let mut first = None;
        while let Some(task) = tasks.join_next().await {
            first.get_or_insert(task??);
        }
        let latency = first.unwrap_or_default();
        let per_s = count as f64 / started.elapsed().as_secs_f64();
        println!("insert_document, {callers} callers: {} ms, {per_s:.0} documents/s", latency.cell());
        rows.push(json!({ "callers": callers, "call": latency.json(), "documents_per_s": per_s }));
    }
    Ok(json!(rows))
}

/// Hundreds of documents a statement, as a loader with psql would.
async fn batches(database: &Database, space: &Space, texts: &[Text], count: usize) -> Result<Value> {
    let mut rows = Vec::new();
    for batch in [100, 1_000] {
        let tenant = database.tenant(&format!("batches-{batch}")).await?;
        let documents = texts.iter().take(count).enumerate().map(|(at, text)| Loaded {
            title: text.title.clone(),
            body: text.body.clone(),
            vector: Some(space.document(1, at)),
        });
        let started = Instant::now();
        database.load(tenant, MODEL, documents, batch).await?;
        let per_s = count as f64 / started.elapsed().as_secs_f64();
        println!("{batch} documents a statement: {per_s:.0} documents/s");
        rows.push(json!({ "batch": batch, "documents_per_s": per_s }));
    }
    Ok(json!(rows))
}

/// The floor: the same rows by COPY into a bare table, without chunks, index, quota or tenant.
async fn copy(database: &Database, space: &Space, texts: &[Text], count: usize) -> Result<Value> {
    let client = database.connect().await?;
    client
        .batch_execute(&format!("CREATE TABLE bare (title text, content text, embedding vector({DIMENSIONS}))"))
        .await?;
    let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    let lines: Vec<String> = texts
        .iter()
        .take(count)
        .enumerate()
        .map(|(at, text)| format!("{}\t{}\t{:?}\n", escape(&text.title), escape(&text.body), space.document(1, at)))
        .collect();
    let started = Instant::now();
    let sink = client.copy_in("COPY bare FROM STDIN").await?;
    let mut sink = std::pin::pin!(sink);
    for line in lines {
        sink.send(tokio_util::bytes::Bytes::from(line)).await?;
    }
    sink.close().await?;
    let per_s = count as f64 / started.elapsed().as_secs_f64();
    println!("COPY into a bare table: {per_s:.0} documents/s");
    Ok(json!({ "documents_per_s": per_s }))
}

/// How fresh postings slow the words' side down, and what merging them costs, on a tenant of some thousand chunks.
async fn fresh(database: &Database, texts: &[Text]) -> Result<Value> {
    let service = Service::start(database).await?;
    let tenant = database.tenant("fresh").await?;
    let client = database.connect().await?;
    let load = async |range: std::ops::Range<usize>| {
        let documents =
            texts[range].iter().map(|text| Loaded { title: text.title.clone(), body: text.body.clone(), vector: None });
        database.load(tenant, MODEL, documents, 500).await
    };
    load(0..10_000).await?;
    while maintenance::merge_step(&client, tenant, 4_096).await? > 0 {}
    client.batch_execute("VACUUM (ANALYZE)").await?;
    let queries = debian::queries(texts, 100, 3);
    let mut rows = Vec::new();
    println!("{:>12} {:>16} {:>12}", "fresh chunks", "words, ms", "merge, ms");
    let mut next = 10_000;
    for count in [0, 256, 512, 1_024, 2_048] {
        load(next..next + count).await?;
        next += count;
        let latency = words(&service, tenant, &queries).await?;
        let started = Instant::now();
        maintenance::merge_step(&client, tenant, i64::MAX).await?;
        let merge_ms = started.elapsed().as_secs_f64() * 1e3;
        println!("{count:>12} {:>16} {merge_ms:>12.0}", latency.cell());
        rows.push(json!({ "fresh_chunks": count, "words": latency.json(), "merge_ms": merge_ms }));
    }
    Ok(json!(rows))
}

async fn words(service: &Service, tenant: TenantId, queries: &[String]) -> Result<Latency> {
    let mut latency = Latency::default();
    for query in queries {
        let search = Search {
            query: Query::parse(query),
            embedding: None,
            no_embedding: None,
            limit: 10,
            weights: Weights { bm25: 1.0, vector: 0.0 },
            filter: Filter::default(),
            parameters: None,
            explain: false,
        };
        let transaction = service.door.open(&Service::caller(tenant)?).await?;
        transaction.tenant().await?;
        let started = Instant::now();
        search::by_words(&transaction, tenant, &search).await?;
        latency.add(started);
        transaction.abandon().await;
    }
    Ok(latency)
}
