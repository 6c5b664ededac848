//! What hostile clients do, each on connections of its own.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::Result;
use crate::served::Served;

/// How many addresses they come from.
const ADDRESSES: usize = 4;

#[derive(Debug, Clone, Copy)]
pub enum Crowd {
    /// Send a head a byte at a time, and begin anew when they are cut.
    Heads,
    /// Send a good head, and then a body a byte at a time.
    Bodies,
    /// Ask on and on, and never read an answer.
    Silent,
    /// Open a connection and say nothing.
    Idle,
}

/// Attacks until it is dropped.
pub async fn attack(served: &Served, crowd: Crowd, count: usize) {
    join_all((0..count).map(|number| async move {
        loop {
            // Refused, cut, reset: they come again.
            let _ = once(served, crowd, number).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
    .await;
}

/// A connection from one of a few addresses of loopback's that are not the honest clients'.
async fn connect(served: &Served, crowd: Crowd, number: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if matches!(crowd, Crowd::Silent) {
        // So that little fills it.
        socket.set_recv_buffer_size(4_096)?;
    }
    let last = 2 + u8::try_from(number % ADDRESSES)?;
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
    Ok(socket.connect(served.address.parse()?).await?)
}

async fn once(served: &Served, crowd: Crowd, number: usize) -> Result<()> {
    let mut stream = connect(served, crowd, number).await?;
    let head = |length: usize| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
            served.key
        )
    };
    match crowd {
        Crowd::Heads => dribble(&mut stream, head(10).as_bytes()).await,
        Crowd::Bodies => {
            stream.write_all(head(100_000).as_bytes()).await?;
            dribble(&mut stream, &[b' '; 100_000]).await
        }
        Crowd::Silent => {
            let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
            let request = head(body.len()) + &body;
            loop {
                stream.write_all(request.as_bytes()).await?;
            }
        }
        Crowd::Idle => {
            stream.read_u8().await?;
            Ok(())
        }
    }
}

async fn dribble(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Many clients that count from 0 at the same time; how many replies came to the wrong one.
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

/// How often a reply is asked for.
const MOST_TRIES: u32 = 50;

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
