use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick::search::filter::Filter;
use bailiwick::search::fusion::Weights;
use bailiwick::search::{self, Query, QueryEmbedding, Search};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::Sized;
use crate::floor::Floor;
use crate::world::Result;
use crate::world::client::Service;
use crate::world::database::Database;
use crate::world::debian::{self, Text};
use crate::world::latency::Latency;
use crate::world::vectors::Space;

const WARM_UP: usize = 20;

fn search(query: &str, vector: Option<Vec<f32>>, model_id: i16) -> Search {
    Search {
        no_embedding: None,
        query: Query::parse(query),
        embedding: vector.map(|vector| QueryEmbedding { vector, model_id }),
        limit: 10,
        weights: Weights::default(),
        filter: Filter::default(),
        parameters: None,
        explain: false,
    }
}

/// Times the whole call, the floor and each side, one after the other for each query, and counts recall.
#[expect(clippy::too_many_arguments, reason = "everything that the world is made of")]
pub async fn tenant(
    database: &Database,
    service: &Service,
    space: &Space,
    texts: &[Text],
    tenant: &Sized,
    like: bool,
    count: usize,
    words_only: bool,
) -> Result<Value> {
    let session = service.session(tenant.id).await?;
    let floor = Floor::prepare(database.connect().await?).await?;
    let [mut whole, mut least, mut words, mut vectors] = [(); 4].map(|()| Latency::default());
    let (mut hits, mut wanted) = (0, 0);
    let queries = debian::queries(texts, count + WARM_UP, tenant.number as u64 + 1);
    for (number, query) in queries.iter().enumerate() {
        let vector = (!words_only).then(|| match like {
            true => space.query_like(tenant.number, number),
            false => space.query_unlike(number),
        });
        let search = search(query, vector, service.model_id);
        let mut arguments = json!({ "query": query });
        if let Some(embedding) = &search.embedding {
            arguments["query_embedding"] = json!(embedding.vector);
        }
        let is_counted = number >= WARM_UP;
        let note = |latency: &mut Latency, started| {
            if is_counted {
                latency.add(started);
            }
        };
        // By turns: who comes second finds the query's pages in the processor's cache.
        for is_whole in [number.is_multiple_of(2), !number.is_multiple_of(2)] {
            let started = Instant::now();
            if is_whole {
                session.call("hybrid_search", arguments.clone()).await?;
                note(&mut whole, started);
            } else if !words_only {
                floor.search(tenant.id, &search).await?;
                note(&mut least, started);
            }
        }
        let transaction = service.door.open(&Service::caller(tenant.id)?).await?;
        transaction.tenant().await?;
        let started = Instant::now();
        search::by_words(&transaction, tenant.id, &search).await?;
        note(&mut words, started);
        let started = Instant::now();
        let near = search::by_vector(&transaction, tenant.id, &search).await?;
        note(&mut vectors, started);
        transaction.abandon().await;
        if is_counted && !words_only {
            let exact: HashSet<i32> = floor.exact(tenant.id, &search).await?.into_iter().collect();
            wanted += exact.len();
            hits += near.iter().take(10).filter(|document| exact.contains(&document.chunk_no)).count();
        }
    }
    let recall = hits as f64 / wanted as f64;
    let ratio = whole.percentile_ms(0.5) / least.percentile_ms(0.5);
    println!(
        "{:>8} {:>7} {:>15} {:>15} {:>15} {:>15} {:>6.2} {:>9.4}",
        tenant.chunks,
        if like { "like" } else { "unlike" },
        whole.cell(),
        least.cell(),
        words.cell(),
        vectors.cell(),
        ratio,
        recall
    );
    Ok(json!({
        "chunks": tenant.chunks, "queries": if like { "like" } else { "unlike" }, "whole_call": whole.json(), "floor": least.json(),
        "words": words.json(), "vectors": vectors.json(), "ratio_p50": ratio, "recall_at_10": recall,
    }))
}

/// Calls a second by callers, each with a session of its own, on one tenant.
pub async fn throughput(
    service: &Service,
    space: &Space,
    texts: &[Text],
    tenant: &Sized,
    words_only: bool,
) -> Result<Value> {
    let mut rows = Vec::new();
    println!("\n{:>8} {:>8}", "callers", "calls/s");
    for callers in [1, 4, 16] {
        let queries = Arc::new(debian::queries(texts, 200, 99));
        let arguments: Arc<Vec<Value>> = Arc::new(
            queries
                .iter()
                .enumerate()
                .map(|(number, query)| match words_only {
                    true => json!({ "query": query }),
                    false => {
                        json!({ "query": query, "query_embedding": space.query_like(tenant.number, 10_000 + number) })
                    }
                })
                .collect(),
        );
        let done = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        let end = Instant::now() + Duration::from_secs(6);
        let counted_from = Instant::now() + Duration::from_secs(1);
        for caller in 0..callers {
            let session = service.session(tenant.id).await?;
            let (arguments, done) = (Arc::clone(&arguments), Arc::clone(&done));
            tasks.spawn(async move {
                for number in caller * 37.. {
                    if Instant::now() >= end {
                        break;
                    }
                    session.call("hybrid_search", arguments[number % arguments.len()].clone()).await?;
                    done.fetch_add(usize::from(Instant::now() >= counted_from), Ordering::Relaxed);
                }
                Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        let per_second = done.load(Ordering::Relaxed) as f64 / 5.0;
        println!("{callers:>8} {per_second:>8.0}");
        rows.push(json!({ "callers": callers, "calls_per_s": per_second }));
    }
    Ok(json!(rows))
}

/// The words' side for a query with a term that is in two fifths of the tenant's chunks.
pub async fn common_term(service: &Service, texts: &[Text], tenant: &Sized) -> Result<Value> {
    let common = debian::common_query(texts);
    let rare = debian::queries(texts, 60, 4242);
    let mut latency = Latency::default();
    for query in &rare {
        let search = search(&format!("{common} {query}"), None, service.model_id);
        let transaction = service.door.open(&Service::caller(tenant.id)?).await?;
        transaction.tenant().await?;
        let started = Instant::now();
        search::by_words(&transaction, tenant.id, &search).await?;
        latency.add(started);
        transaction.abandon().await;
    }
    println!("\nwords with {common:?} in them, of {} chunks: {} ms", tenant.chunks, latency.cell());
    Ok(json!({ "word": common, "words": latency.json() }))
}

/// What the indexes take on disk.
pub async fn sizes(client: &Client) -> Result<Value> {
    let sql = "SELECT pg_total_relation_size('posting_blocks') + pg_total_relation_size('chunk_segments')
                      + pg_total_relation_size('fresh_postings') + pg_total_relation_size('chunk_tombstones') AS words,
                      (SELECT sum(posting_count)::bigint FROM posting_blocks) AS postings,
                      (SELECT sum(octet_length(postings))::bigint FROM posting_blocks) AS payload,
                      (SELECT coalesce(sum(pg_relation_size(c.oid)), 0)::bigint FROM pg_class c WHERE relname LIKE 'hnsw\\_%') AS vectors";
    let row = client.query_one(sql, &[]).await?;
    let (words, postings, payload, vectors): (i64, i64, i64, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    let per_posting = words as f64 / postings as f64;
    println!(
        "word index {:.1} MB for {postings} postings: {per_posting:.2} bytes each ({:.2} packed); vector indexes {:.0} MB",
        words as f64 / 1e6,
        payload as f64 / postings as f64,
        vectors as f64 / 1e6
    );
    Ok(
        json!({ "word_index_bytes": words, "postings": postings, "bytes_per_posting": per_posting, "vector_index_bytes": vectors }),
    )
}
