//! Many clients that count from 0 at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};

use crate::Result;
use crate::served::Served;

/// How often a reply is asked for.
const MOST_TRIES: u32 = 50;

/// How many replies came to the wrong one.
pub async fn namesakes(served: &Served, clients: usize, replies: usize) -> Result<usize> {
    let url = &format!("http://{}/mcp", served.address);
    let counts = join_all((0..clients).map(|name| async move {
        let (client, mut misrouted) = (Client::new(), 0);
        for id in 0..replies {
            // The limit that a call asks for comes back in its refusal, which tells one answer from another.
            let limit = 1_000 + name * replies + id;
            let params = json!({ "name": "hybrid_search", "arguments": { "query": "x", "limit": limit } });
            let message = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
            let reply = answer(&client, url, &served.key, &message).await?;
            let text = text_of(&reply);
            // A refusal for want of room says no limit.
            let is_another = text.starts_with("invalid_input") && !text.contains(&format!("is {limit};"));
            misrouted += usize::from(reply["id"] != id || is_another);
        }
        Result::Ok(misrouted)
    }))
    .await;
    counts.into_iter().sum()
}

fn text_of(reply: &Value) -> &str {
    reply["result"]["content"][0]["text"].as_str().unwrap_or_default()
}

/// The reply, after some tries: the flood before may still take places, and a server that is full says so.
async fn answer(client: &Client, url: &str, key: &str, message: &Value) -> Result<Value> {
    let mut tries = 1_u32;
    loop {
        let post = client.post(url).bearer_auth(key).header("accept", "application/json, text/event-stream");
        match post.json(message).send().await {
            Ok(response) => {
                let reply: Value = response.error_for_status()?.json().await?;
                if tries == MOST_TRIES || reply["id"] != message["id"] || !text_of(&reply).starts_with("overloaded") {
                    return Ok(reply);
                }
            }
            Err(error) if tries == MOST_TRIES => return Err(error.into()),
            Err(_closed) => {}
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
