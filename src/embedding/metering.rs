//! Figures of embedding, for whoever collects them.

use std::time::Duration;

use super::{EmbeddingError, Purpose};

/// Describes the figures to the collector, once it is installed.
pub fn describe() {
    metrics::describe_counter!("bailiwick_embedded_texts_total", "Texts embedded, by purpose: query or passage.");
    metrics::describe_counter!(
        "bailiwick_embedding_failures_total",
        "Requests to the embedder that failed, by reason."
    );
    metrics::describe_histogram!(
        "bailiwick_embedding_duration_seconds",
        metrics::Unit::Seconds,
        "Time of requests to the embedder, by purpose."
    );
    metrics::describe_counter!(
        "bailiwick_query_embeddings_total",
        "Embeddings of queries, by where they came from: cache, model, or none where the search went on without."
    );
    metrics::describe_gauge!(
        "bailiwick_embedding_breaker_open",
        "1 while the embedding service is left alone because it failed repeatedly."
    );
    metrics::describe_gauge!(
        "bailiwick_embedding_model_foreign",
        "1 while documents are embedded with another model than this server's, so that it searches by words alone."
    );
    metrics::describe_counter!("bailiwick_embedding_tokens_total", "Tokens that the embedding model read, by purpose.");
    metrics::describe_gauge!("bailiwick_embedding_waiting_tenants", "Tenants with documents that wait for embedding.");
}

/// Documents are embedded with another model than this server's, or with its own.
pub(super) fn foreign(is_foreign: bool) {
    metrics::gauge!("bailiwick_embedding_model_foreign").set(f64::from(u8::from(is_foreign)));
}

/// A request to the embedder ended.
pub(super) fn embedded(purpose: Purpose, texts: usize, took: Duration, error: Option<&EmbeddingError>) {
    let name = purpose.name();
    metrics::histogram!("bailiwick_embedding_duration_seconds", "purpose" => name).record(took);
    match error {
        None => metrics::counter!("bailiwick_embedded_texts_total", "purpose" => name).increment(texts as u64),
        Some(error) => {
            metrics::counter!("bailiwick_embedding_failures_total", "reason" => error.name()).increment(1);
        }
    }
}

/// The circuit breaker opened or closed.
pub(super) fn breaker(is_open: bool) {
    metrics::gauge!("bailiwick_embedding_breaker_open").set(f64::from(u8::from(is_open)));
}

/// A query's vector came from there.
pub(super) fn query(source: &'static str) {
    metrics::counter!("bailiwick_query_embeddings_total", "source" => source).increment(1);
}

/// Tokens that the model read.
pub(super) fn tokens(purpose: Purpose, tokens: i32) {
    metrics::counter!("bailiwick_embedding_tokens_total", "purpose" => purpose.name())
        .increment(u64::try_from(tokens).unwrap_or_default());
}

/// How many tenants have documents that wait.
pub(super) fn waiting(tenants: usize) {
    metrics::gauge!("bailiwick_embedding_waiting_tenants").set(f64::from(u32::try_from(tenants).unwrap_or(u32::MAX)));
}
