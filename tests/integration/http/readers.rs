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

/// A document whose answer is larger than what the system takes of one for a reader that reads nothing, as a call of it.
async fn large(server: &HttpServer, key: &str) -> serde_json::Value {
    let arguments = json!({ "title": "long", "content": "word ".repeat(60_000) });
    let inserted = server.call(&Client::new(), key, "insert_document", arguments).await;
    json!({ "document_id": inserted["structuredContent"]["document_id"] })
}

#[tokio::test]
async fn no_call_begins_before_the_last_answer_has_gone() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let arguments = large(&server, &ada).await;
    let get = request(&ada, &tool_call(1, "get_document", &arguments));
    let calls = async || -> i64 {
        database.value("SELECT count(*) FROM audit_logs WHERE resource = 'tools/get_document'").await
    };
    let mut stream = connect(&server.address.to_string()).await;
    stream.write_all(get.repeat(3).as_bytes()).await.unwrap();
    while calls().await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(calls().await, 1, "the second call has begun, and nobody has read the first one's answer");
    let mut text = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while String::from_utf8_lossy(&text).matches("HTTP/1.1 200").count() < 3 {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
        text.extend_from_slice(&piece[..read.expect("all is answered").unwrap()]);
    }
    while calls().await < 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_request_that_waited_behind_an_unread_answer_has_its_own_time() {
    let database = TestDatabase::create().await;
    let short = Duration::from_millis(400);
    let options = HttpOptions { header_limit: short, idle_limit: short, ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let arguments = large(&server, &ada).await;
    let get = request(&ada, &tool_call(1, "get_document", &arguments));
    let second = request(&ada, &tool_call(2, "tenant_status", &json!({})));
    let (head, body) = second.split_at(second.find("\r\n\r\n").unwrap() + 4);
    let mut stream = connect(&server.address.to_string()).await;
    stream.write_all(format!("{get}{head}").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (mut reader, mut writer) = stream.into_split();
    // Its body takes longer than a head may, or a pause.
    let sending = async {
        for piece in body.as_bytes().chunks(20) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if writer.write_all(piece).await.is_err() {
                break;
            }
        }
    };
    let reading = async {
        let (mut text, mut piece) = (Vec::new(), vec![0; 64 << 10]);
        while String::from_utf8_lossy(&text).matches("HTTP/1.1 200").count() < 2 {
            let read = tokio::time::timeout(Duration::from_secs(20), reader.read(&mut piece)).await;
            let length = read.expect("it is answered").unwrap_or_default();
            assert!(length > 0, "it was cut");
            text.extend_from_slice(&piece[..length]);
        }
    };
    tokio::join!(sending, reading);
}

#[tokio::test]
async fn nothing_is_begun_for_a_user_whose_answers_wait_to_be_read() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { most_unread_bytes_of_principal: 100_000, ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let (ada, eve) = (key(&database, "demo", "ada", ALL_SCOPES).await, key(&database, "demo", "eve", ALL_SCOPES).await);
    let (arguments, client) = (large(&server, &ada).await, Client::new());
    let get = request(&ada, &tool_call(1, "get_document", &arguments));
    let status = tool_call(1, "tenant_status", &json!({}));
    let mut unread = Vec::new();
    let refused = loop {
        let response = server.post(&client, &ada).json(&status).send().await.unwrap();
        if response.status() != 200 {
            break response;
        }
        assert!(unread.len() < 20, "{} answers wait, and nothing is refused", unread.len());
        let mut stream = connect(&server.address.to_string()).await;
        stream.write_all(get.as_bytes()).await.unwrap();
        unread.push(stream);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(unread.len() >= 2, "{}", unread.len());
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(refused.text().await.unwrap().contains("read them first"));
    assert_eq!(server.post(&client, &eve).json(&status).send().await.unwrap().status(), 200, "others are served");
    // Whoever reads is served again, and so is whoever has gone.
    let mut piece = vec![0; 64 << 10];
    for mut stream in unread.drain(1..) {
        let reading = async { while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {} };
        let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
    }
    assert_eq!(server.post(&client, &ada).json(&status).send().await.unwrap().status(), 200);
    // An answer that has no room at all is not given.
    let uri = format!("bailiwick://documents/{}", arguments["document_id"].as_str().unwrap());
    let read = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri } });
    let response = server.post(&client, &ada).json(&read).send().await.unwrap();
    assert_eq!(response.status(), 503, "300,000 bytes where 100,000 may wait");
    drop(unread);
    assert_eq!(server.post(&client, &ada).json(&status).send().await.unwrap().status(), 200);
}
