//! Calls over HTTP, beside the framework's own floor and a Python server: `cargo bench --bench http -- --help`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "benches share modules, do not use all of each, and go past the doors to arrange and to compare"
)]

mod echo;
mod load;
mod python;
mod servers;
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;
use std::time::Duration;

use bailiwick::db::admin::keys::{self, NewKey};
use bailiwick::identity::{ApiKey, Scopes, UserId};
use bailiwick::maintenance::{self, Scope};
use clap::Parser;
use serde_json::{Value, json};

use load::{Answers, Call};
use servers::Server;
use world::client::MODEL;
use world::database::{Database, Loaded};
use world::vectors::Space;
use world::{Result, debian};

/// Of the vectors.
const DIMENSIONS: usize = 384;

/// Measures calls over HTTP.
#[derive(Parser)]
struct Arguments {
    /// Documents of the tenant, one chunk each
    #[arg(long, default_value_t = 10_000)]
    documents: usize,
    /// Seconds for each figure
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Clients at the same time
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    clients: Vec<usize>,
    /// Leave the Python server out
    #[arg(long)]
    without_python: bool,
    /// Where to write the report
    #[arg(long, default_value = "target/bench/http.json")]
    json: PathBuf,
    /// Serve the echo, for the bench's own use
    #[arg(long, hide = true)]
    echo: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.echo {
        return echo::serve().await;
    }
    let database = Database::create("bench_http", u16::try_from(DIMENSIONS)?).await?;
    let texts = debian::descriptions(arguments.documents)?;
    let space = Space::new(DIMENSIONS, 200, 0);
    let tenant = database.tenant("bench").await?;
    let documents = texts.iter().enumerate().map(|(number, text)| Loaded {
        title: text.title.clone(),
        body: text.body.clone(),
        vector: Some(space.document(0, number)),
    });
    database.load(tenant, MODEL, documents, 500).await?;
    let client = database.connect().await?;
    maintenance::run(&client, None, Scope::Everything, None).await?;
    client.batch_execute("VACUUM (ANALYZE)").await?;
    let key = ApiKey::generate()?;
    let of = NewKey {
        tenant: "bench".to_owned(),
        user_id: UserId::parse("bench")?,
        scopes: Scopes::all(),
        expires_at: None,
    };
    keys::create(&client, &key, &of).await?;

    // Words of the collection, so that each query finds something.
    let queries: Vec<String> = texts.iter().step_by(texts.len().div_ceil(200)).map(|text| text.title.clone()).collect();
    let status = Call::new("tenant_status", vec![json!({})]);
    let by_words = Call::new("hybrid_search", queries.iter().map(|query| json!({ "query": query })).collect())
        .telling("\"mode\":\"bm25_only\"");
    // The caller's own vectors: what an embedder takes is not of HTTP.
    let hybrid = queries
        .iter()
        .enumerate()
        .map(|(number, query)| json!({ "query": query, "query_embedding": space.query_like(0, number) }));
    let hybrid = Call::new("hybrid_search", hybrid.collect()).telling("\"mode\":\"hybrid\"");
    let mut kinds = vec![
        ("echo, rmcp alone", servers::echo().await?, Call::new("echo", vec![json!({ "text": "hello" })]), None),
        ("tenant_status", servers::bailiwick(&database).await?, status, Some(key.expose())),
        ("hybrid_search, words", servers::bailiwick(&database).await?, by_words, Some(key.expose())),
        ("hybrid_search, both", servers::bailiwick(&database).await?, hybrid, Some(key.expose())),
    ];
    if !arguments.without_python {
        // The whole of `tenant_status` is a transaction with RLS and its audit row; this is its one statement alone.
        let sql = Call::new("status", vec![json!({ "tenant": tenant.to_string() })]);
        kinds.push(("one statement, Python", python::serve(&database).await?, sql, None));
    }
    println!(
        "{:<22} {:<5} {:>7} {:>9} {:>9} {:>10} {:>7}",
        "call", "as", "clients", "p50 ms", "p95 ms", "calls/s", "MiB"
    );
    let mut rows = Vec::new();
    for (name, server, call, key) in &kinds {
        for answers in [Answers::Json, Answers::Events] {
            let Some(url) = server.url(answers) else { continue };
            for clients in &arguments.clients {
                let row = measure(name, server, url, call, *key, answers, *clients, arguments.seconds);
                rows.push(row.await?);
            }
        }
    }
    let report = json!({ "documents": arguments.documents, "seconds": arguments.seconds, "rows": rows });
    std::fs::create_dir_all(arguments.json.parent().ok_or("a report without a folder")?)?;
    std::fs::write(&arguments.json, serde_json::to_string_pretty(&report)?)?;
    println!("\nreport: {}", arguments.json.display());
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "each is a column of the table")]
async fn measure(
    name: &str,
    server: &Server,
    url: &str,
    call: &Call,
    key: Option<&str>,
    answers: Answers,
    clients: usize,
    seconds: f64,
) -> Result<Value> {
    // The first ones pay for connections and plans.
    load::run(url, call, key, answers, clients, Duration::from_secs_f64(seconds / 4.0)).await?;
    let (latency, calls_per_s) = load::run(url, call, key, answers, clients, Duration::from_secs_f64(seconds)).await?;
    let memory_mib = server.memory_mib()?;
    let (p50_ms, p95_ms) = (latency.percentile_ms(0.5), latency.percentile_ms(0.95));
    println!(
        "{name:<22} {:<5} {clients:>7} {p50_ms:>9.2} {p95_ms:>9.2} {calls_per_s:>10.0} {memory_mib:>7}",
        answers.name()
    );
    Ok(json!({
        "call": name, "answers": answers.name(), "clients": clients, "latency": latency.json(), "calls_per_s": calls_per_s, "memory_mib": memory_mib,
    }))
}
