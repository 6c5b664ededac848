//! How long connections are kept, and heads waited for.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listening::Listening;
use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::harness::{PATIENCE, TestDatabase};

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LONG: Duration = Duration::from_secs(600);

fn limits(header_ms: u64, idle: Duration) -> HttpOptions {
    HttpOptions { header_limit: Duration::from_millis(header_ms), idle_limit: idle, ..HttpOptions::default() }
}

/// What comes until the server pauses.
async fn answer(stream: &mut TcpStream) -> String {
    let mut piece = [0; 4_096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
    let length = read.expect("an answer, or the end").unwrap_or_default();
    String::from_utf8_lossy(&piece[..length]).into_owned()
}

/// Sends a head a byte at a time; whether it came to its end.
async fn dribble(stream: &mut TcpStream) -> bool {
    for byte in HEALTH {
        if stream.write_all(&[*byte]).await.is_err() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    answer(stream).await.starts_with("HTTP/1.1 200 ")
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_for_longer_than_a_head_may_take() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, limits(1_000, LONG)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(HEALTH).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    // A head that has begun on it has no more time than any other.
    assert!(!dribble(&mut stream).await, "a head came a byte at a time");
    let mut fresh = TcpStream::connect(server.address).await.unwrap();
    assert!(!dribble(&mut fresh).await, "a first head came a byte at a time");
    // Whoever has asked nothing yet is not waited for so long either.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(answer(&mut silent).await, "", "it is closed");
}

/// A head has its time from its first byte on, also where that came with the request before it.
#[tokio::test]
async fn a_head_that_begins_behind_a_whole_request_has_no_more_time_than_any_other() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, limits(1_000, LONG)).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let body = tool_call(1, "tenant_status", &json!({})).to_string();
    let call = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let half = &HEALTH[..20];
    for requests in [HEALTH.to_vec(), call.into_bytes(), HEALTH.repeat(3)] {
        let answers = requests.windows(4).filter(|bytes| bytes == b"HTTP").count();
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&[&requests[..], half].concat()).await.unwrap();
        let mut text = String::new();
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                let told = answer(&mut stream).await;
                if told.is_empty() {
                    return;
                }
                text += &told;
            }
        });
        assert!(ended.await.is_ok(), "it waits for the rest of a head as if none had begun: {text}");
        assert_eq!(text.matches("HTTP/1.1 200 ").count(), answers, "{text}");
    }
    // Whoever sends the rest in time is answered, however long the connection was kept before.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[HEALTH, half].concat()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream.write_all(&HEALTH[20..]).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // An empty line behind a request is no head.
    stream.write_all(&[HEALTH, b"\r\n"].concat()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stream.write_all(HEALTH).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_connection_that_asks_nothing_any_more_is_closed_after_a_time() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, limits(600_000, Duration::from_millis(500))).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(HEALTH).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(answer(&mut stream).await, "", "it is closed");
}

#[tokio::test]
async fn neither_limit_touches_a_request_that_is_worked_on() {
    let database = TestDatabase::create().await;
    let short = Duration::from_millis(700);
    let keep_alive = Duration::from_millis(5_000);
    let server = HttpServer::start(&database, HttpOptions { legacy_sse: true, keep_alive, ..limits(700, short) }).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let base = server.url("");
    // No connection of it is kept, for it would be closed just when it is used again.
    let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut stream = Listening::start(&client, &base, &ada).await;
    stream.introduce().await;
    // Its body takes longer than either.
    let body = tool_call(1, "tenant_status", &json!({})).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    for piece in body.as_bytes().chunks(20) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        slow.write_all(piece).await.unwrap();
    }
    assert!(answer(&mut slow).await.starts_with("HTTP/1.1 200 "));
    // And a stream is open for as long as it is wanted.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    stream.post(&tool_call(7, "tenant_status", &json!({}))).await;
    assert_eq!(stream.answer().await["id"], 7);
}
