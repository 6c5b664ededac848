//! What answers without a credential, and to which hosts and pages.

use bailiwick::http::HttpOptions;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::harness::TestDatabase;

#[tokio::test]
async fn only_the_operators_routes_are_open() {
    let database = TestDatabase::create().await;
    let options = HttpOptions { metrics_token: Some("figures".to_owned().into()), ..HttpOptions::default() };
    let server = HttpServer::start(&database, options).await;
    let client = Client::new();
    let get = async |path: &str| client.get(server.url(path)).send().await.unwrap();
    assert_eq!(get("/healthz").await.text().await.unwrap(), "ok");
    let ready: Value = get("/readyz").await.json().await.unwrap();
    assert_eq!((&ready["ready"], &ready["database"], &ready["audit"]), (&json!(true), &json!(true), &json!(true)));
    for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::PATCH, Method::HEAD] {
        let response = client.request(method.clone(), server.url("/mcp")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method} /mcp");
    }
    for path in [
        "/",
        "/mcp/",
        "/mcp/x",
        "/sse",
        "/messages",
        "/admin",
        "/.env",
        "/.well-known/oauth-protected-resource",
        "/metrics",
        "//mcp",
        "/healthz/x",
    ] {
        assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let figures = client.get(server.url("/metrics")).bearer_auth("guess").send().await.unwrap();
    assert_eq!(figures.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn readiness_tells_of_a_server_that_ends() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    assert!(server.calls.drain(std::time::Duration::from_secs(1)).await);
    let response = Client::new().get(server.url("/readyz")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.json::<Value>().await.unwrap()["closing"], true);
}

#[tokio::test]
async fn foreign_hosts_and_pages_are_refused() {
    let database = TestDatabase::create().await;
    let options = HttpOptions {
        allowed_hosts: vec!["mcp.example".to_owned()],
        allowed_origins: vec!["https://app.example".to_owned()],
        ..HttpOptions::default()
    };
    let server = HttpServer::start(&database, options).await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let hosts = [
        ("localhost", true),
        ("127.0.0.1:8080", true),
        ("mcp.example", true),
        ("mcp.example:443", true),
        ("evil.example", false),
        ("mcp.example.evil.example", false),
    ];
    let origins = [
        (None, true),
        (Some("https://app.example"), true),
        (Some("http://app.example"), false),
        (Some("https://evil.example"), false),
        (Some("null"), false),
        (Some("https://app.example.evil.example"), false),
    ];
    for (host, host_is_ours) in hosts {
        for (origin, origin_is_ours) in origins {
            let mut request =
                server.post(&client, &ada).header("host", host).json(&tool_call(1, "tenant_status", &json!({})));
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let response = request.send().await.unwrap();
            let expected = if host_is_ours && origin_is_ours { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(response.status(), expected, "{host} {origin:?}");
            let shared =
                response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(shared.is_some(), origin == Some("https://app.example"), "{host} {origin:?}: {shared:?}");
        }
    }
    let preflight = |origin: &'static str| {
        let asked = client.request(Method::OPTIONS, server.url("/mcp")).header("origin", origin);
        asked
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let ours = preflight("https://app.example").await.unwrap();
    assert_eq!(ours.headers()["access-control-allow-origin"], "https://app.example");
    assert!(!preflight("https://evil.example").await.unwrap().headers().contains_key("access-control-allow-origin"));
}
