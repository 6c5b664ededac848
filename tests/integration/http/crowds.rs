//! The bounds of connections: who makes room for whom.

use std::time::Duration;

use bailiwick::http::HttpOptions;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::bodies::resident_bytes;
use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::audit::tools::Ending;
use crate::harness::{TestDatabase, under_way, until};

/// A connection from 127.0.0.`last`.
async fn connect(server: &HttpServer, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// A client whose connections come from 127.0.0.`last`.
fn client(last: u8) -> Client {
    let address = std::net::Ipv4Addr::new(127, 0, 0, last);
    Client::builder().local_address(Some(address.into())).timeout(Duration::from_secs(10)).build().unwrap()
}

async fn is_healthy(server: &HttpServer, last: u8) -> bool {
    let asked = client(last).get(server.url("/healthz")).send().await;
    asked.is_ok_and(|response| response.status() == StatusCode::OK)
}

/// Whether the server closes it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(tokio::time::timeout(Duration::from_secs(9), stream.read_u8()).await, Ok(Err(_)))
}

/// Whether it stays for a moment: by now whoever had to go has gone.
async fn is_open(stream: &mut TcpStream) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await, Err(_) | Ok(Ok(_)))
}

#[tokio::test]
async fn newcomers_get_in_while_silent_connections_come_again_and_again() {
    let database = TestDatabase::create().await;
    // No head's time runs out here: nobody makes room but for a newcomer.
    let options = HttpOptions {
        most_connections: 200,
        most_connections_of_address: 60,
        header_limit: Duration::from_secs(600),
        ..HttpOptions::default()
    };
    let server = HttpServer::start(&database, options).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let mut silent = JoinSet::new();
    for number in 0..320_u16 {
        let address = server.address;
        silent.spawn(async move {
            loop {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, 2 + (number % 4) as u8], 0).into()).unwrap();
                if let Ok(mut stream) = socket.connect(address).await {
                    // Half of them begin a head and never end it.
                    let begun = stream.write_all(if number % 2 == 0 { b"POST /mcp HT" } else { b"" }).await;
                    let _ = begun.is_ok() && stream.read_u8().await.is_ok();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    for round in 0..20 {
        assert!(is_healthy(&server, 100 + round).await, "from an address of their own");
        assert!(is_healthy(&server, 2).await, "from an address that has all that it may have");
        let answer = server.call(&client(1), &ada, "tenant_status", json!({})).await;
        assert_eq!(answer["isError"], false, "{answer}");
    }
    silent.abort_all();
}

#[tokio::test]
async fn the_oldest_silent_one_makes_room_and_one_whose_call_runs_stays() {
    let database = TestDatabase::create().await;
    let header_limit = Duration::from_secs(600);
    let options = HttpOptions { most_connections_of_address: 3, header_limit, ..HttpOptions::default() };
    let toolbox = bailiwick::mcp::Toolbox::empty().with(Ending);
    let server = HttpServer::start_with(&database, options, toolbox).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let post = server.post(&client(2), &ada).json(&tool_call(1, "ending", &json!({ "end": "a while" }))).send();
    let running = tokio::spawn(post);
    until("the call runs", async || under_way(&database).await == 1).await;
    let (mut first, mut second) = (connect(&server, 2).await, connect(&server, 2).await);
    let mut third = connect(&server, 2).await;
    assert!(is_closed(&mut first).await, "it was silent for longest");
    assert!(is_open(&mut second).await && is_open(&mut third).await);
    let mut elsewhere = connect(&server, 3).await;
    assert!(is_open(&mut second).await && is_open(&mut elsewhere).await, "another address has its own");
    // Whoever asks something is heard, and is then the one that goes last.
    second.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut fourth = connect(&server, 2).await;
    assert!(is_closed(&mut third).await && is_open(&mut fourth).await);
    let answer = super::reply(running.await.unwrap().unwrap()).await;
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

#[tokio::test]
async fn where_all_connections_work_one_more_is_closed_unheard() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { most_connections: 2, ..HttpOptions::default() };
    let toolbox = bailiwick::mcp::Toolbox::empty().with(Ending);
    let server = HttpServer::start_with(&database, options, toolbox).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let message = tool_call(1, "ending", &json!({ "end": "a while" }));
    let mut running = JoinSet::new();
    for last in 2..4 {
        running.spawn(server.post(&client(last), &ada).json(&message).send());
    }
    until("both calls run", async || under_way(&database).await == 2).await;
    assert!(!is_healthy(&server, 9).await);
    while let Some(response) = running.join_next().await {
        assert_eq!(super::reply(response.unwrap().unwrap()).await["result"]["isError"], false);
    }
    until("places come back", async || is_healthy(&server, 9).await).await;
}

#[tokio::test]
async fn who_says_nothing_costs_little_more_than_a_socket() {
    const MANY: u16 = 1_600;
    // A reader's and a writer's buffer for each would be 25 MiB.
    const MOST_MIB: u64 = 12;
    let _ = bailiwick::http::connections_within_limits(usize::from(MANY) + 1_000);
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let address: std::net::SocketAddr =
        served.url.trim_start_matches("http://").trim_end_matches("/mcp").parse().unwrap();
    let client = Client::new();
    for _ in 0..20 {
        assert!(client.get(served.at("/healthz")).send().await.unwrap().status().is_success());
    }
    let before = resident_bytes(&served);
    let mut silent = Vec::new();
    for number in 0..MANY {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 2 + (number % 8) as u8], 0).into()).unwrap();
        silent.push(socket.connect(address).await.unwrap());
    }
    // They are all taken in before one that comes after them.
    assert!(Client::new().get(served.at("/healthz")).send().await.unwrap().status().is_success());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = resident_bytes(&served).saturating_sub(before) >> 20;
    assert!(more < MOST_MIB, "{more} MiB more for {MANY} connections that say nothing");
    // The last of them: on a busy machine the first may have waited too long for its head by now, and been closed.
    let last = silent.last_mut().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(last.read_u8().await.unwrap(), b'H', "whoever speaks is heard");
}
