//! Clients that do not read.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::audit::tools::Ending;
use crate::harness::{PATIENCE, TestDatabase, asleep, until};

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

/// How many of ten answers come to a client that reads nothing for some seconds once the first is there.
async fn answers_to_a_late_reader(database: &TestDatabase, write_limit: Duration) -> usize {
    let server = HttpServer::start(database, HttpOptions { write_limit, ..HttpOptions::default() }).await;
    let ada = key(database, "demo", "ada", ALL_SCOPES).await;
    let arguments = json!({ "title": "long", "content": "word ".repeat(40_000) });
    let inserted = server.call(&Client::new(), &ada, "insert_document", arguments).await;
    let document_id = &inserted["structuredContent"]["document_id"];
    let get = request(&ada, &tool_call(1, "get_document", &json!({ "document_id": document_id })));
    let mut stream = connect(&server.address.to_string()).await;
    let made = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/get_document'";
    let before = database.value::<i64>(made).await;
    stream.write_all(get.repeat(10).as_bytes()).await.unwrap();
    until("the first is made", async || database.value::<i64>(made).await > before).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut text = Vec::new();
    let mut piece = vec![0; 64 << 10];
    let answers = |text: &[u8]| String::from_utf8_lossy(text).matches("HTTP/1.1 200").count();
    // Whoever is not cut is served to the end.
    while answers(&text) < 10 {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("it is served, or cut");
        match read {
            Ok(0) | Err(_) => break,
            Ok(length) => text.extend_from_slice(&piece[..length]),
        }
    }
    answers(&text)
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_cut_after_a_time_and_a_late_one_is_served() {
    let database = TestDatabase::create().await;
    assert_eq!(answers_to_a_late_reader(&database, Duration::from_secs(60)).await, 10);
    assert!(answers_to_a_late_reader(&database, Duration::from_millis(500)).await < 10, "it was never cut");
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
    let answered = async || -> u64 {
        let figures = Client::new().get(&served.figures).send().await.unwrap().text().await.unwrap();
        let series = "bailiwick_http_requests_total{route=\"/mcp\",status=\"200\"} ";
        figures.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |count| count.parse().unwrap())
    };
    until("each is answered once", async || answered().await >= CLIENTS).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answered = answered().await;
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
    until("the first call is made", async || calls().await > 0).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(calls().await, 1, "the second call has begun, and nobody has read the first one's answer");
    let mut text = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while String::from_utf8_lossy(&text).matches("HTTP/1.1 200").count() < 3 {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
        text.extend_from_slice(&piece[..read.expect("all is answered").unwrap()]);
    }
    until("the others are made", async || calls().await == 3).await;
}

/// Of answers that are smaller than what hyper holds of them by itself, no more are made than the system takes and one.
#[tokio::test]
async fn nor_behind_small_answers_that_have_not_gone() {
    const ASKED: usize = 20;
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let arguments = json!({ "title": "long", "content": "word ".repeat(2_000) });
    let inserted = server.call(&Client::new(), &ada, "insert_document", arguments).await;
    let get = json!({ "document_id": inserted["structuredContent"]["document_id"] });
    let get = request(&ada, &tool_call(1, "get_document", &get));
    let calls = async || -> i64 {
        database.value("SELECT count(*) FROM audit_logs WHERE resource = 'tools/get_document'").await
    };
    let mut stream = connect(&server.address.to_string()).await;
    stream.write_all(get.repeat(ASKED).as_bytes()).await.unwrap();
    until("the first call is made", async || calls().await > 0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let begun = calls().await;
    assert!(begun <= 4, "{begun} calls were made, and nobody has read the first one's answer");
    let (mut text, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    while String::from_utf8_lossy(&text).matches("HTTP/1.1 200").count() < ASKED {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
        let length = read.expect("all is answered").unwrap();
        assert!(length > 0, "it was cut");
        text.extend_from_slice(&piece[..length]);
    }
}

#[tokio::test]
async fn a_request_that_waited_behind_an_unread_answer_has_its_own_time() {
    let database = TestDatabase::create().await;
    let short = Duration::from_secs(1);
    let options = HttpOptions { header_limit: short, idle_limit: short, ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let arguments = large(&server, &ada).await;
    let get = request(&ada, &tool_call(1, "get_document", &arguments));
    let second = request(&ada, &tool_call(2, "tenant_status", &json!({})));
    let (head, body) = second.split_at(second.find("\r\n\r\n").unwrap() + 4);
    let mut stream = connect(&server.address.to_string()).await;
    stream.write_all(format!("{get}{head}").as_bytes()).await.unwrap();
    let made = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/get_document'";
    until("the first call is made", async || database.value::<i64>(made).await == 1).await;
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
    let mut served = 0;
    let refused = loop {
        let response = server.post(&client, &ada).json(&status).send().await.unwrap();
        if response.status() != 200 {
            break response;
        }
        served += 1;
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
    let rows = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/tenant_status'";
    assert_eq!(database.value::<i64>(rows).await, served, "what was refused has begun");
    assert_eq!(server.post(&client, &eve).json(&status).send().await.unwrap().status(), 200, "others are served");
    // Whoever reads is served again, and so is whoever has gone, once that is noticed.
    let is_served = async || server.post(&client, &ada).json(&status).send().await.unwrap().status() == 200;
    let mut piece = vec![0; 64 << 10];
    for mut stream in unread.drain(1..) {
        let reading = async { while stream.read(&mut piece).await.is_ok_and(|length| length > 0) {} };
        let _ = tokio::time::timeout(Duration::from_millis(500), reading).await;
    }
    until("she is served again", &is_served).await;
    // An answer that has no room at all is not given.
    let uri = format!("bailiwick://documents/{}", arguments["document_id"].as_str().unwrap());
    let read = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri } });
    let response = server.post(&client, &ada).json(&read).send().await.unwrap();
    assert_eq!(response.status(), 503, "300,000 bytes where 100,000 may wait");
    assert!(!response.headers().contains_key("retry-after"), "it was done");
    assert!(response.text().await.unwrap().starts_with("what was asked is done"));
    drop(unread);
    until("she is served again", &is_served).await;
    // Where it is the only one it is given, though it is more than a share.
    let is_given = async || server.post(&client, &ada).json(&read).send().await.unwrap().status() == 200;
    until("she gets it", is_given).await;
}

#[tokio::test]
async fn whoever_still_reads_an_answer_does_not_make_room() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions { most_connections: 1, ..HttpOptions::default() }).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let arguments = large(&server, &ada).await;
    let get = request(&ada, &tool_call(1, "get_document", &arguments));
    let mut stream = connect(&server.address.to_string()).await;
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut text = vec![0; 1_024];
    stream.read_exact(&mut text).await.unwrap();
    // By now all of it is on its way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut late = TcpStream::connect(server.address).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), late.read(&mut [0])).await.expect("it is closed");
    assert!(closed.map_or(true, |length| length == 0));
    let head = String::from_utf8_lossy(&text).into_owned();
    let body = head.find("\r\n\r\n").unwrap() + 4;
    let length =
        head.to_ascii_lowercase().split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().to_owned();
    let length: usize = length.parse().unwrap();
    let mut rest = vec![0; body + length - text.len()];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut rest)).await.expect("it comes");
    assert!(read.is_ok(), "the answer was cut in the middle: {read:?}");
    // Between two requests it does, as soon as the server has seen that all of it has gone.
    let is_served = async || {
        let mut next = TcpStream::connect(server.address).await.unwrap();
        let asked = next.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let mut text = [0; 12];
        asked.is_ok() && next.read_exact(&mut text).await.is_ok() && text.starts_with(b"HTTP/1.1 200")
    };
    until("another gets in", is_served).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut text)).await.expect("it made room");
    assert!(ended.map_or(true, |length| length == 0));
}

#[tokio::test]
async fn who_closes_a_connection_takes_the_call_back_whatever_was_sent_behind_it() {
    let database = TestDatabase::create().await;
    let toolbox = Toolbox::empty().with(Ending);
    let server = HttpServer::start_with(&database, HttpOptions::default(), toolbox).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let slow = request(&ada, &tool_call(1, "ending", &json!({ "end": "slow statement" })));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(slow.repeat(2).as_bytes()).await.unwrap();
    until("the call runs", async || asleep(&database).await == 1).await;
    drop(stream);
    let outcomes = "SELECT coalesce(string_agg(outcome, ' '), '') FROM audit_logs";
    until("it has ended", async || !database.value::<String>(outcomes).await.is_empty()).await;
    assert_eq!(database.value::<String>(outcomes).await, "cancelled", "it ran on for nobody");
    assert_eq!(asleep(&database).await, 0);
}

#[tokio::test]
async fn answers_that_wait_on_a_stream_count_as_their_reader_s() {
    const READS: usize = 12;
    let database = TestDatabase::create().await;
    let options = HttpOptions { legacy_sse: true, most_unread_bytes_of_principal: 1_000_000, ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let (arguments, client) = (large(&server, &ada).await, Client::new());
    let uri = format!("bailiwick://documents/{}", arguments["document_id"].as_str().unwrap());
    let mut stream = connect(&server.address.to_string()).await;
    let open = format!(
        "GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer {ada}\r\n\r\n"
    );
    stream.write_all(open.as_bytes()).await.unwrap();
    let (mut text, mut piece) = (String::new(), vec![0; 64 << 10]);
    let endpoint = loop {
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        if let Some((_, rest)) = text.split_once("data: ")
            && let Some((endpoint, _)) = rest.split_once("\n\n")
        {
            break server.url(endpoint.trim());
        }
    };
    let post = async |message: &serde_json::Value| {
        client.post(&endpoint).bearer_auth(&ada).json(message).send().await.unwrap().status()
    };
    let hello =
        json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "n", "version": "1" } });
    post(&json!({ "jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": hello })).await;
    post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    // A message with a name given twice is none here either.
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#;
    let twice = client.post(&endpoint).bearer_auth(&ada).header("content-type", "application/json").body(twice);
    assert_eq!(twice.send().await.unwrap().status(), 400);
    for id in 0..READS {
        let read = json!({ "jsonrpc": "2.0", "id": id, "method": "resources/read", "params": { "uri": uri } });
        assert_eq!(post(&read).await, 202);
    }
    let rows = "SELECT count(*) FROM audit_logs";
    until("all is read", async || database.value::<i64>(rows).await == READS as i64 + 1).await;
    // Their answers are written and counted a moment later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut bytes, mut given, mut refused) = (Vec::new(), 0, 0);
    while given + refused < READS {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
        let length = read.expect("each is answered").unwrap();
        assert!(length > 0, "the stream was cut");
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes);
        (given, refused) = (text.matches("\"contents\":").count(), text.matches("read them first").count());
    }
    // Three wait, and the stream has taken one or two before.
    assert!((3..=6).contains(&given), "{given} of {READS} answers of 300,000 bytes waited where 1,000,000 may");
}
