//! Clients that are slow, greedy or many.

use std::time::{Duration, Instant};

use bailiwick::http::HttpOptions;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ALL_SCOPES, HttpServer, key, reply, tool_call};
use crate::harness::TestDatabase;

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
    assert!(read.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn dribblers_are_cut_while_others_are_served() {
    let database = TestDatabase::create().await;
    let options = HttpOptions {
        header_limit: Duration::from_secs(2),
        body_limit: Duration::from_secs(2),
        ..HttpOptions::default()
    };
    let server = HttpServer::start(&database, options).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let mut heads = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: local").await.unwrap();
        heads.push(stream);
    }
    let mut bodies = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        bodies.push(stream);
    }
    let client = Client::new();
    assert_eq!(server.call(&client, &ada, "tenant_status", json!({})).await["isError"], false);
    for mut stream in heads {
        rest(&mut stream).await;
    }
    for mut stream in bodies {
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408 "));
    }
    assert_eq!(server.call(&client, &ada, "tenant_status", json!({})).await["isError"], false);
}

#[tokio::test]
async fn bodies_are_bounded_and_strangers_are_refused_before_theirs_is_read() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { largest_body_bytes: 10_000, ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let large = json!({ "title": "t", "content": "x".repeat(20_000) });
    let response = server.post(&client, &ada).json(&tool_call(1, "insert_document", &large)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    stream
        .write_all(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 401 "));
    assert!(begun.elapsed() < Duration::from_secs(10), "no body was waited for");
    for rubbish in ["", "{", "[]", "null", "{\"jsonrpc\":\"2.0\"}", "\u{0}"] {
        let response =
            server.post(&client, &ada).header("content-type", "application/json").body(rubbish).send().await.unwrap();
        assert!(response.status().is_client_error(), "{rubbish:?}: {}", response.status());
    }
}

#[tokio::test]
async fn equal_ids_of_many_clients_are_not_mixed_up() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let clients = (0..40).map(|client_no| {
        let (server, ada) = (&server, &ada);
        async move {
            let client = Client::new();
            for id in 0..10 {
                // The limit that a client's call asks for comes back in its refusal: one call's answer is told from another's.
                let limit = 1_000 + client_no * 100 + id;
                let message = tool_call(id, "hybrid_search", &json!({ "query": "x", "limit": limit }));
                let answer = reply(server.post(&client, ada).json(&message).send().await.unwrap()).await;
                let text = answer["result"]["content"][0]["text"].as_str().unwrap();
                assert!(answer["id"] == id && text.contains(&format!("is {limit};")), "{answer}");
            }
        }
    });
    futures_util::future::join_all(clients).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 400);
}

/// Two ways to say where a request ends: whoever is before us may have gone by the other one.
#[tokio::test]
async fn nothing_follows_a_request_whose_end_is_said_in_pieces() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let body = tool_call(1, "tenant_status", &json!({})).to_string();
    let hidden = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let pieces = format!("{:x}\r\n{body}\r\n0\r\n\r\n{hidden}", body.len());
    for lengths in [
        "Transfer-Encoding: chunked\r\n".to_owned(),
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", pieces.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", pieces.len()),
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n".to_owned(),
    ] {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\nAccept: application/json\r\nContent-Type: application/json\r\n{lengths}\r\n"
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(format!("{head}{pieces}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lengths}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{lengths}: {answer}");
    }
    // What is neither is not guessed at.
    for lengths in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ada}\r\n{lengths}\r\n");
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(format!("{head}{pieces}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        let is_refused = answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 501 ");
        assert!(answer.is_empty() || is_refused, "{lengths}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{lengths}: {answer}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 4, "one call each, and no hidden one");
}

#[tokio::test]
async fn heads_are_bounded_in_size_and_number_of_headers() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    // Of 64 KiB, and of what one more read brings.
    let (long, half) = ("x".repeat(200_000), "x".repeat(30_000));
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    for (path, headers, status) in [
        ("/healthz".to_owned(), String::new(), "200"),
        ("/healthz".to_owned(), format!("X-Long: {half}\r\n"), "200"),
        ("/healthz".to_owned(), format!("X-Long: {long}\r\n"), "431"),
        ("/healthz".to_owned(), many(50), "200"),
        ("/healthz".to_owned(), many(200), "431"),
        (format!("/healthz?{long}"), String::new(), "431"),
        // A line that is folded, or has a name that is none, is no header.
        ("/healthz".to_owned(), "X-A: 1\r\n X-Folded: 2\r\n".to_owned(), "400"),
        ("/healthz".to_owned(), "X A: 1\r\n".to_owned(), "400"),
        ("/healthz".to_owned(), "X-A: a\0b\r\n".to_owned(), "400"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        // Whoever sends too much may be cut while it does.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let shown: String = headers.chars().take(30).collect();
        assert!(read.is_ok(), "{shown}: the connection stays open");
        let is_told = answer.starts_with(&format!("HTTP/1.1 {status} "));
        // Of a path so long the parser says 414 or 431, as it comes in pieces.
        let is_told = is_told || (status == "431" && answer.starts_with("HTTP/1.1 414 "));
        assert!(is_told || (status != "200" && answer.is_empty()), "{shown}: {answer}");
    }
}
