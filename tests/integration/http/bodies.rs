//! What bodies of requests may hold of the server's memory.

use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::served::Served;
use super::{ALL_SCOPES, key, reply, tool_call};
use crate::harness::{TestDatabase, until};

/// The largest body that is taken.
const LARGEST_BYTES: usize = 12 << 20;

/// Resident memory of the server.
pub(super) fn resident_bytes(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

fn head(key: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    )
}

/// What a body that never ends is answered in that time, while its connection is held.
async fn withhold(address: &str, key: &str, is_chunked: bool, patience: Duration) -> (TcpStream, Option<String>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = match is_chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {LARGEST_BYTES}"),
    };
    let head = format!("{}{length}\r\n\r\n", head(key));
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b' '; 64 << 10];
    let mut sent = 0;
    let sending = async {
        while sent + piece.len() < LARGEST_BYTES {
            if is_chunked {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            }
            stream.write_all(&piece).await?;
            if is_chunked {
                stream.write_all(b"\r\n").await?;
            }
            sent += piece.len();
        }
        std::io::Result::Ok(())
    };
    // Whoever is refused is cut on their way.
    let _ = sending.await;
    let mut answer = vec![0; 12];
    let answered = tokio::time::timeout(patience, stream.read_exact(&mut answer)).await;
    let answer = match answered {
        Ok(Ok(_)) => Some(String::from_utf8(answer).unwrap()),
        // The end of a connection whose other end was still sending takes the answer with it.
        Ok(Err(_)) => Some(String::new()),
        Err(_waits) => None,
    };
    (stream, answer)
}

#[tokio::test]
async fn large_bodies_that_never_end_take_a_bounded_memory_and_others_are_served() {
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let address = served.url.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let (ada, eve) =
        (key(&database, "demo", "ada", ALL_SCOPES).await, key(&database, "enterprise", "eve", ALL_SCOPES).await);
    let client = Client::new();
    let status = tool_call(1, "tenant_status", &json!({}));
    assert_eq!(reply(served.post(&client, &ada).json(&status).send().await.unwrap()).await["result"]["isError"], false);
    let before = resident_bytes(&served);
    let mut withholding = JoinSet::new();
    for number in 0..60 {
        let (address, eve) = (address.clone(), eve.clone());
        // A machine that is busy with all of them takes its time to refuse.
        withholding.spawn(async move { withhold(&address, &eve, number % 2 == 0, Duration::from_secs(8)).await });
    }
    let mut most = before;
    let (mut refused, mut held) = (0, 0);
    while let Some(ended) = withholding.join_next().await {
        let (_stream, answer) = ended.unwrap();
        match answer.as_deref() {
            // Cut, on a slow machine.
            None | Some("HTTP/1.1 408") => held += 1,
            Some("HTTP/1.1 503") => refused += 1,
            Some(other) => assert_eq!(other, "", "an answer that nobody looked for"),
        }
        most = most.max(resident_bytes(&served));
        // Theirs, too: an ordinary call is no large body.
        for key in [&ada, &eve] {
            let response = served.post(&client, key).json(&status).send().await.unwrap();
            assert_eq!(reply(response).await["result"]["isError"], false);
        }
    }
    // 24 MiB are one user's: two bodies, and a part of some more; buffers grow by doubling, and an allocator gives back late.
    assert!((1..=6).contains(&held) && refused > 10, "{held} held, {refused} refused");
    let more = (most - before) >> 20;
    assert!(more < 240, "{more} MiB more, where 60 bodies are 720");
    let holding = async || {
        let moment = Duration::from_secs(2);
        let (first, second) =
            tokio::join!(withhold(&address, &eve, true, moment), withhold(&address, &eve, false, moment));
        assert!(first.1.is_none() && second.1.is_none(), "two come in: {first:?} {second:?}");
        (first, second)
    };
    let figures = async || client.get(&served.figures).send().await.unwrap().text().await.unwrap();
    let is_empty = &async || figures().await.lines().any(|line| line == "bailiwick_http_body_bytes 0");
    until("nothing is held", is_empty).await;
    let held = holding().await;
    // What cannot come in is refused before it is sent.
    let third = format!("{}Content-Length: {LARGEST_BYTES}\r\n\r\n", head(&eve));
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(third.as_bytes()).await.unwrap();
    let mut answer = [0; 1_024];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 2"), "{answer}");
    let large = tool_call(1, "insert_document", &json!({ "title": "t", "content": "word ".repeat(190_000) }));
    let response = served.post(&client, &ada).json(&large).send().await.unwrap();
    assert_eq!(reply(response).await["result"]["isError"], false, "another user has room");
    // A connection that has gone gives back what its body held.
    drop(held);
    until("nothing is held", is_empty).await;
    drop(holding().await);
    until("nothing is held", is_empty).await;
    let figures = figures().await;
    assert!(figures.contains("bailiwick_http_refused_total{reason=\"bodies_of_principal\"}"), "{figures}");
}

/// Most memory that the server has had.
fn most_resident_bytes(served: &Served) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", served.child.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_body_of_nothing_but_values_is_refused_before_it_becomes_gigabytes() {
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.args(["--legacy-sse", "--a2a"]);
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let status = tool_call(1, "tenant_status", &json!({}));
    assert_eq!(reply(served.post(&client, &ada).json(&status).send().await.unwrap()).await["result"]["isError"], false);
    let before = most_resident_bytes(&served);
    let numbers = format!("[{}1]", "1,".repeat(5_500_000));
    let objects = format!("[{}1]", r#"{"":1},"#.repeat(1_500_000));
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"tenant_status","arguments":{{"x":{objects}}}}}}}"#
    );
    let base = served.url.trim_end_matches("/mcp");
    for path in ["/mcp", "/a2a", "/messages?sessionId=01234567-89ab-4def-8123-456789abcdef"] {
        for body in [&numbers, &objects, &call] {
            let post =
                client.post(format!("{base}{path}")).bearer_auth(&ada).header("content-type", "application/json");
            let response = post.body(body.clone()).send().await.unwrap();
            assert_eq!(response.status(), 413, "{path}: {}", &body[..20]);
            assert!(response.text().await.unwrap().contains("too many values"));
        }
    }
    let more = (most_resident_bytes(&served) - before) >> 20;
    assert!(more < 100, "{more} MiB more for bodies of 11");
    // The vectors of many documents are no such body.
    let vector = vec![0.5; 1_500];
    let more: Vec<_> =
        (0..99).map(|n| json!({ "title": "t", "content": format!("{n}"), "embedding": vector })).collect();
    let insert = json!({ "title": "t", "content": "c", "embedding": vector, "more_documents": more });
    let response = served.post(&client, &ada).json(&tool_call(2, "insert_document", &insert)).send().await.unwrap();
    assert_eq!(response.status(), 200);
}
