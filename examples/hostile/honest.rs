//! Clients that call one tool after another, with a little pause, and wait for each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Result;
use crate::served::Served;

const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

pub struct Honest {
    clients: JoinSet<Result<(Vec<f64>, u64)>>,
    is_over: Arc<AtomicBool>,
}

#[derive(Clone)]
pub struct Figures {
    pub served: usize,
    pub failed: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Honest {
    pub fn start(served: &Served) -> Self {
        let (mut clients, is_over) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        for _ in 0..CLIENTS {
            let (url, key, is_over) =
                (format!("http://{}/mcp", served.address), served.key.clone(), Arc::clone(&is_over));
            clients.spawn(async move {
                let (client, mut times_ms, mut failed) = (Client::new(), Vec::new(), 0);
                while !is_over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    match status(&client, &url, &key, 1).await {
                        Ok(reply) if reply["result"]["isError"] == false => {
                            times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
                        }
                        _ => failed += 1,
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Ok((times_ms, failed))
            });
        }
        Self { clients, is_over }
    }

    pub async fn stop_after(mut self, time: Duration) -> Result<Figures> {
        tokio::time::sleep(time).await;
        self.is_over.store(true, Ordering::Relaxed);
        let (mut times_ms, mut failed) = (Vec::new(), 0);
        while let Some(client) = self.clients.join_next().await {
            let (theirs, their_failed) = client??;
            times_ms.extend(theirs);
            failed += their_failed;
        }
        times_ms.sort_by(f64::total_cmp);
        let at = |share: f64| {
            times_ms
                .get((times_ms.len().saturating_sub(1) as f64 * share).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        Ok(Figures { served: times_ms.len(), failed, p50_ms: at(0.5), p99_ms: at(0.99) })
    }
}

/// One call of `tenant_status`.
pub async fn status(client: &Client, url: &str, key: &str, id: u64) -> Result<Value> {
    let message = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "tenant_status", "arguments": {} } });
    let post = client.post(url).bearer_auth(key).header("accept", "application/json, text/event-stream").json(&message);
    Ok(post.send().await?.error_for_status()?.json().await?)
}
