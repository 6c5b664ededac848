//! Which host a request is for, and below which path.

use bailiwick::http::HttpOptions;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listening::Listening;
use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::harness::TestDatabase;

/// The status of a request with this target and these hosts.
async fn status(server: &HttpServer, key: &str, method: &str, target: &str, hosts: &[&str]) -> String {
    let body = if method == "POST" { tool_call(1, "tenant_status", &json!({})).to_string() } else { String::new() };
    let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
    let request = format!(
        "{method} {target} HTTP/1.1\r\n{hosts}Authorization: Bearer {key}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test]
async fn the_host_of_a_target_is_judged_whatever_the_header_says() {
    let database = TestDatabase::create().await;
    let server =
        HttpServer::start(&database, HttpOptions { legacy_sse: true, a2a: true, ..HttpOptions::default() }).await;
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    for (method, path, good) in [
        ("POST", "/mcp", "200"),
        ("GET", "/sse", "200"),
        ("GET", "/.well-known/agent-card.json", "200"),
        ("GET", "/messages", "405"),
    ] {
        let at = |authority: &str| format!("http://{authority}{path}");
        for (target, hosts, expected) in [
            (at("evil.example"), &["localhost"][..], "403"),
            (at("localhost@evil.example"), &["localhost"], "403"),
            (at("localhost.evil.example:80"), &["localhost"], "403"),
            (at("localhost"), &["evil.example"], good),
            (at("localhost"), &["localhost"], good),
            (at("localhost"), &["localhost", "localhost"], "400"),
            (at("localhost"), &[], "400"),
            (path.to_owned(), &[], "400"),
            (path.to_owned(), &["evil.example"], "403"),
        ] {
            let told = status(&server, &ada, method, &target, hosts).await;
            assert_eq!(told, expected, "{method} {target} {hosts:?}");
        }
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 2, "what was refused ran nothing");
}

#[tokio::test]
async fn below_a_path_everything_that_is_told_leads_back_whether_the_proxy_takes_the_path_off_or_not() {
    let database = TestDatabase::create().await;
    let options = HttpOptions {
        public_url: Some("https://example.com/docs/v1".to_owned()),
        allowed_hosts: vec!["example.com".to_owned()],
        legacy_sse: true,
        a2a: true,
        ..HttpOptions::default()
    };
    let server = HttpServer::start(&database, options).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    // As a client would see it: through a proxy that keeps the path, or one that takes it off.
    let kept = |url: &str| server.url(url.strip_prefix("https://example.com").unwrap());
    let taken_off = |url: &str| server.url(url.strip_prefix("https://example.com/docs/v1").unwrap());
    for through in [&kept as &dyn Fn(&str) -> String, &taken_off] {
        let call = tool_call(1, "tenant_status", &json!({}));
        let ask = |key: &str| client.post(through("https://example.com/docs/v1/mcp")).bearer_auth(key).json(&call);
        let answer = ask(&ada).header("host", "example.com").send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap()["result"]["isError"], false);
        let refused = ask("nobody").send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        let metadata = challenge.split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap();
        let metadata: Value = client.get(through(metadata)).send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["resource"], "https://example.com/docs/v1/mcp");
        let card = client.get(through("https://example.com/docs/v1/.well-known/agent-card.json"));
        let card: Value = card.send().await.unwrap().json().await.unwrap();
        assert_eq!(card["supportedInterfaces"][0]["url"], "https://example.com/docs/v1/a2a", "{card}");
    }
    // Where RFC 9728 puts it by itself.
    let derived = server.url("/.well-known/oauth-protected-resource/docs/v1/mcp");
    let metadata: Value = client.get(derived).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["resource"], "https://example.com/docs/v1/mcp");
    let mut stream = Listening::start(&client, &server.url("/docs/v1").replace("/docs/v1", ""), &ada).await;
    assert!(stream.endpoint.starts_with("/docs/v1/messages?sessionId="), "{}", stream.endpoint);
    stream.introduce().await;
    for elsewhere in ["/docs/v10/mcp", "/docs/mcp", "/x/docs/v1/mcp", "/docs/v1/docs/v1/mcp"] {
        let response = client.post(server.url(elsewhere)).bearer_auth(&ada).json(&json!({})).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{elsewhere}");
    }
}

#[tokio::test]
async fn what_asks_for_a_tunnel_or_another_protocol_is_refused_and_its_connection_closed() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    for (line, expected) in [
        ("CONNECT localhost:80", "400"),
        ("GET ftp://localhost/healthz", "400"),
        ("GET ws://localhost/healthz", "400"),
        ("GET http://localhost/healthz", "200"),
        ("GET HTTPS://localhost/healthz", "200"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
        let close = if expected == "200" { "Connection: close\r\n" } else { "" };
        stream.write_all(format!("{head}{close}\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(read.is_ok() && answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{line}: {answer}");
    }
}
