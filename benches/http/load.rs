//! Clients that call again as soon as they have their answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::Result;
use crate::world::latency::Latency;

/// How answers are to come.
#[derive(Debug, Clone, Copy)]
pub enum Answers {
    Json,
    Events,
}

impl Answers {
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Events => "sse",
        }
    }

    /// The one that is preferred comes first.
    fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json, text/event-stream",
            Self::Events => "text/event-stream, application/json",
        }
    }
}

/// A tool with the arguments that it is called with, by turns.
pub struct Call {
    bodies: Arc<Vec<String>>,
    /// What stands in each answer.
    told: &'static str,
}

impl Call {
    pub fn new(tool: &str, arguments: Vec<Value>) -> Self {
        let message = |arguments| json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } });
        let bodies = arguments.into_iter().map(|arguments| message(arguments).to_string()).collect();
        Self { bodies: Arc::new(bodies), told: "" }
    }

    /// An answer without these words is a failure.
    pub fn telling(self, told: &'static str) -> Self {
        Self { told, ..self }
    }
}

/// Latencies of all clients, and calls a second.
pub async fn run(
    url: &str,
    call: &Call,
    key: Option<&str>,
    answers: Answers,
    clients: usize,
    time: Duration,
) -> Result<(Latency, f64)> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (url, key, bodies, next, told) =
            (url.to_owned(), key.map(str::to_owned), Arc::clone(&call.bodies), Arc::clone(&next), call.told);
        tasks.spawn(async move {
            let (client, mut times) = (Client::new(), Vec::new());
            while begun.elapsed() < time {
                let body = bodies[next.fetch_add(1, Ordering::Relaxed) % bodies.len()].clone();
                let called = Instant::now();
                let mut post =
                    client.post(&url).header("accept", answers.accept()).header("content-type", "application/json");
                post = post.header("mcp-protocol-version", "2025-11-25");
                if let Some(key) = &key {
                    post = post.bearer_auth(key);
                }
                let answer = post.body(body).send().await?.error_for_status()?.text().await?;
                times.push(called.elapsed());
                if !answer.contains("\"isError\":false") && !answer.contains("\"content\"")
                    || answer.contains("\"isError\":true")
                    || !answer.contains(told)
                {
                    return Err(answer.into());
                }
            }
            Result::Ok(times)
        });
    }
    let (mut latency, mut count) = (Latency::default(), 0);
    while let Some(times) = tasks.join_next().await {
        let times = times??;
        count += times.len();
        latency.extend(&times);
    }
    Ok((latency, count as f64 / begun.elapsed().as_secs_f64()))
}
