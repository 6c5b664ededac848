//! Clients that do not read.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::harness::TestDatabase;

/// A connection with little room for what comes.
async fn connect(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

fn request(key: &str, message: &serde_json::Value) -> String {
    let body = message.to_string();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// How many of ten answers come to a client that reads nothing for a second.
async fn answers_after_a_second(database: &TestDatabase, write_limit: Duration) -> usize {
    let server = HttpServer::start(database, HttpOptions { write_limit, ..HttpOptions::default() }).await;
    let ada = key(database, "demo", "ada", ALL_SCOPES).await;
    let arguments = json!({ "title": "long", "content": "word ".repeat(40_000) });
    let inserted = server.call(&Client::new(), &ada, "insert_document", arguments).await;
    let document_id = &inserted["structuredContent"]["document_id"];
    let get = request(&ada, &tool_call(1, "get_document", &json!({ "document_id": document_id })));
    let mut stream = connect(&server.address.to_string()).await;
    stream.write_all(get.repeat(10).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut text = Vec::new();
    let mut piece = vec![0; 64 << 10];
    // Whoever is not cut is served to the end.
    while let Ok(Ok(length)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut piece)).await {
        if length == 0 {
            break;
        }
        text.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&text).matches("HTTP/1.1 200").count()
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_cut_after_a_time_and_a_late_one_is_served() {
    let database = TestDatabase::create().await;
    assert_eq!(answers_after_a_second(&database, Duration::from_secs(30)).await, 10);
    assert!(answers_after_a_second(&database, Duration::from_millis(500)).await < 10, "it was never cut");
}

#[tokio::test]
async fn little_is_done_for_those_who_ask_on_and_on_and_never_read() {
    const CLIENTS: u64 = 30;
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.args(["--requests-per-minute", "0"]);
    })
    .await;
    let address = served.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let list = request(&ada, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    let mut silent = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (address, list) = (address.clone(), list.clone());
        silent.spawn(async move {
            let mut stream = connect(&address).await;
            while stream.write_all(list.as_bytes()).await.is_ok() {}
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let figures = Client::new().get(&served.figures).send().await.unwrap().text().await.unwrap();
    let series = "bailiwick_http_requests_total{route=\"/mcp\",status=\"200\"} ";
    let answered: u64 =
        figures.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |count| count.parse().unwrap());
    assert!(answered >= CLIENTS, "each is answered once: {answered}");
    // What the system takes of them is bounded, and nothing is begun behind an answer that has not gone.
    assert!(answered <= CLIENTS * 4, "{answered} answers for {CLIENTS} clients that read none");
}
