//! The whole way of a user: `bailiwick ingest --wait` with an embedder, `bailiwick serve`, and `hybrid_search` over MCP.

use std::io::Write;

use futures_util::{StreamExt, TryStreamExt, stream};
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::{Peer, RoleClient};
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};

use crate::collections::Collection;
use crate::metrics::Quality;
use crate::world::Result;
use crate::world::database::Database;
use crate::world::program::Embedder;

const TENANT: &str = "quality";
/// The most that the tool returns.
const LIMIT: usize = 50;
/// Queries under way at once.
const AT_ONCE: usize = 2;

/// Stores a collection and asks its queries by words, by meaning and by both.
pub async fn measure(embedder: &Embedder, name: &str, collection: &Collection) -> Result<Vec<Value>> {
    let database = Database::create("bench_quality_program", 384).await?;
    database.tenant(TENANT).await?;
    let stored = ingest(embedder, &database, collection).await?;
    let serve = embedder.program(&database, TENANT)?;
    let me = ClientConfig::new(ClientCapabilities::default(), Implementation::new("bench", "1"));
    let client = me.serve(TokioChildProcess::new(serve)?).await?;
    let mut rows = Vec::new();
    println!(
        "{} by the program itself, embedded by {name} ({} queries, {stored})",
        collection.name,
        collection.queries.len()
    );
    println!("{:<44} {:>8} {:>11} {:>7}", "", "nDCG@10", "recall@50", "MRR@10");
    for (mode, bm25, vector) in [("bm25_only", 1.0, 0.0), ("vector_only", 0.0, 1.0), ("hybrid", 0.5, 0.5)] {
        let asked = collection.queries.iter().map(|query| ask(client.peer(), &query.text, (bm25, vector), mode));
        let found: Vec<(Vec<String>, bool)> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let runs = found.iter().zip(&collection.queries).map(|((found, _), query)| (found.as_slice(), &query.judged));
        let quality = Quality::average(runs).ok_or("no query has a relevant document")?;
        let degraded = found.iter().filter(|(_, as_asked)| !as_asked).count();
        let note = if degraded > 0 { format!("   {degraded} by words alone") } else { String::new() };
        println!(
            "{mode:<44} {:>8.4} {:>11.4} {:>7.4}{note}",
            quality.ndcg_at_10, quality.recall_at_100, quality.mrr_at_10
        );
        rows.push(json!({
            "collection": collection.name, "embedder": name, "run": mode, "degraded": degraded,
            "ndcg_at_10": quality.ndcg_at_10, "recall_at_50": quality.recall_at_100, "mrr_at_10": quality.mrr_at_10,
        }));
    }
    client.cancel().await?;
    Ok(rows)
}

/// Stores the documents as a file of JSON lines, and waits until they are embedded.
async fn ingest(embedder: &Embedder, database: &Database, collection: &Collection) -> Result<String> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let path = folder.path().join("documents.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    for document in &collection.documents {
        writeln!(file, "{}", json!({ "title": document.title, "content": document.text, "source": document.id }))?;
    }
    file.flush()?;
    drop(file);
    let mut command = embedder.program(database, TENANT)?;
    let output = command.args(["ingest", "--json", "--wait"]).arg(&path).stderr(std::process::Stdio::inherit());
    let output = output.output().await?;
    if !output.status.success() {
        return Err(format!("bailiwick ingest: {} {}", output.status, String::from_utf8_lossy(&output.stdout)).into());
    }
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let (summary, waited) = (&report["summary"], report["embedding"]["seconds"].as_f64().unwrap_or_default());
    let seconds = summary["seconds"].as_f64().unwrap_or_default() + waited;
    Ok(format!("{} documents of {} passages in {seconds:.0} s", summary["stored"], summary["chunks"]))
}

/// The sources of what the tool finds, and whether it searched as it was asked to.
async fn ask(
    client: &Peer<RoleClient>,
    query: &str,
    (bm25, vector): (f64, f64),
    mode: &str,
) -> Result<(Vec<String>, bool)> {
    let arguments = json!({ "query": query, "limit": LIMIT, "bm25_weight": bm25, "vector_weight": vector });
    let Value::Object(arguments) = arguments else { return Err("arguments are an object".into()) };
    let mut tries = 0;
    loop {
        tries += 1;
        let call = CallToolRequestParams::new("hybrid_search").with_arguments(arguments.clone());
        let result = client.call_tool(call).await?;
        let answer = result.structured_content.unwrap_or_default();
        let as_asked = answer["mode"] == mode;
        // A vector that came too late is there for the next search.
        if !as_asked && tries < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            continue;
        }
        let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sources = results.iter().filter_map(|found| found["source"].as_str().map(str::to_owned));
        return Ok((sources.collect(), as_asked));
    }
}
