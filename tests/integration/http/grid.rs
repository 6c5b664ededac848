//! Each route for each host and page, and each route there is without a credential.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick::call::Calls;
use bailiwick::db::{Pool, PoolOptions, System};
use bailiwick::http::{Face, HttpOptions, router};
use bailiwick::identity::KeyRing;
use bailiwick::mcp::{Server, Toolbox};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;

use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::harness::TestDatabase;

fn options() -> HttpOptions {
    HttpOptions {
        allowed_hosts: vec!["mcp.example".to_owned(), "other.example:8443".to_owned()],
        allowed_origins: vec!["https://app.example".to_owned()],
        legacy_sse: true,
        ..HttpOptions::default()
    }
}

const HOSTS: [(&str, bool); 6] = [
    ("localhost", true),
    ("mcp.example:443", true),
    ("other.example:8443", true),
    ("other.example", false),
    ("evil.example", false),
    ("localhost.evil.example", false),
];

const ORIGINS: [(Option<&str>, bool); 6] = [
    (None, true),
    (Some("https://app.example"), true),
    (Some("http://app.example"), false),
    (Some("https://evil.example"), false),
    (Some("null"), false),
    (Some("https://app.example.evil.example"), false),
];

/// What is asked, and how it is answered where host and page are ours.
const ASKED: [(&str, &str, StatusCode); 6] = [
    ("POST", "/mcp", StatusCode::OK),
    ("GET", "/mcp", StatusCode::METHOD_NOT_ALLOWED),
    ("DELETE", "/mcp", StatusCode::METHOD_NOT_ALLOWED),
    ("PUT", "/mcp", StatusCode::METHOD_NOT_ALLOWED),
    ("GET", "/sse", StatusCode::OK),
    ("POST", "/messages?sessionId=01234567-89ab-4def-8123-456789abcdef", StatusCode::NOT_FOUND),
];

#[tokio::test]
async fn foreign_hosts_and_pages_are_kept_from_every_route_and_method() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, options()).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let (mut cells, mut calls) = (0, 0);
    for (host, host_is_ours) in HOSTS {
        for (origin, origin_is_ours) in ORIGINS {
            for (method, path, answer) in ASKED {
                let request = client.request(method.parse().unwrap(), server.url(path)).bearer_auth(&ada);
                let request = request.header("host", host).header("accept", "application/json, text/event-stream");
                let mut request = request.header("mcp-protocol-version", "2025-11-25");
                if method == "POST" {
                    request = request.json(&tool_call(1, "tenant_status", &json!({})));
                }
                if let Some(origin) = origin {
                    request = request.header("origin", origin);
                }
                let response = request.send().await.unwrap();
                let is_ours = host_is_ours && origin_is_ours;
                let expected = if is_ours { answer } else { StatusCode::FORBIDDEN };
                assert_eq!(response.status(), expected, "{method} {path} of {host} from {origin:?}");
                let shared = response.headers().contains_key("access-control-allow-origin");
                assert_eq!(shared, origin == Some("https://app.example"), "{method} {path} of {host} from {origin:?}");
                cells += 1;
                calls += i64::from(is_ours && (method, path) == ("POST", "/mcp"));
            }
        }
    }
    assert_eq!((cells, calls), (216, 6));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, calls, "what was refused ran nothing");
    // Two of either: whoever reads the first and whoever reads the last must not differ.
    for (name, values) in
        [("host", ["localhost", "evil.example"]), ("origin", ["https://app.example", "https://evil.example"])]
    {
        for path in ["/mcp", "/sse"] {
            let method = if path == "/mcp" { Method::POST } else { Method::GET };
            let raw = format!(
                "{method} {path} HTTP/1.1\r\n{}{name}: {}\r\n{name}: {}\r\nauthorization: Bearer {ada}\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}",
                if name == "host" { "" } else { "host: localhost\r\n" },
                values[0],
                values[1]
            );
            let status = status_of(server.address, &raw).await;
            assert_eq!(status, "400", "{name} twice at {path}");
        }
    }
}

/// The status of a request as it stands.
async fn status_of(address: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

/// What answers without a credential; everything else must not.
const OPEN: [&str; 8] = [
    "/healthz",
    "/readyz",
    // Whoever has its own token; others find nothing there.
    "/metrics",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource/sse",
    "/.well-known/oauth-protected-resource/a2a",
    "/.well-known/agent-card.json",
];

#[tokio::test]
async fn no_route_there_is_answers_without_a_credential_but_the_listed_ones() {
    let database = TestDatabase::create().await;
    let everything = HttpOptions { public_url: Some("https://mcp.example".to_owned()), a2a: true, ..options() };
    let server = HttpServer::start(&database, everything.clone()).await;
    let calls = Calls::open(database.app(), &database.call_options()).unwrap();
    let pool = Pool::new(database.app().clone(), &PoolOptions { size: 1, ..PoolOptions::default() }).unwrap();
    let keys = KeyRing::new(System::new(pool));
    let toolbox = Arc::new(Toolbox::new(&model()));
    let face = Face {
        calls: calls.clone(),
        keys,
        issuer: None,
        toolbox: Arc::clone(&toolbox),
        exposition: None,
        options: everything,
    };
    let router = router(face, Server::for_requests(toolbox, calls));
    // The router tells its paths in what it shows of itself, and nowhere else.
    let shown = format!("{router:?}");
    let paths: BTreeSet<&str> = shown
        .split('"')
        .filter(|text| text.starts_with('/') && text.len() > 1 && !text.contains("__private__axum"))
        .collect();
    let known: BTreeSet<&str> = OPEN.into_iter().chain(["/mcp", "/sse", "/messages", "/a2a"]).collect();
    assert!(paths.is_superset(&known), "{paths:?}");
    let client = Client::new();
    for path in paths.iter().filter(|path| !OPEN.contains(path)) {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"] {
            for credential in [None, Some("Bearer x"), Some("Basic eDp5")] {
                let mut request = client.request(method.parse().unwrap(), server.url(path));
                if let Some(credential) = credential {
                    request = request.header("authorization", credential);
                }
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} {path} {credential:?}");
                assert!(response.headers().contains_key("www-authenticate"), "{method} {path}");
            }
        }
    }
    for path in OPEN {
        let status = client.post(server.url(path)).send().await.unwrap().status();
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}
