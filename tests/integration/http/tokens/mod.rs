//! Tokens of an issuer: which are believed, as whom, and that all others are refused.

mod believed;
mod refused;
mod told;

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::harness::TestDatabase;
use crate::http::issuer::TestIssuer;
use crate::http::{ALL_SCOPES, HttpServer, model, tool_call};

fn options() -> HttpOptions {
    HttpOptions {
        public_url: Some("https://mcp.example".to_owned()),
        // Each variant is to be refused for what it is.
        bad_credentials_per_minute: 0,
        ..HttpOptions::default()
    }
}

async fn serve(database: &TestDatabase, issuer: &TestIssuer) -> HttpServer {
    HttpServer::start_all(database, options(), Toolbox::new(&model()), Some(issuer.options())).await
}

/// Good claims but for what `change` does to them.
fn but(issuer: &TestIssuer, change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = issuer.claims("demo", ALL_SCOPES);
    change(&mut claims);
    claims
}

fn without(issuer: &TestIssuer, claim: &str) -> Value {
    but(issuer, |claims| drop(claims.as_object_mut().unwrap().remove(claim)))
}

fn with(issuer: &TestIssuer, claim: &str, value: Value) -> Value {
    but(issuer, |claims| claims[claim] = value)
}

async fn ask(server: &HttpServer, client: &Client, token: &str) -> Response {
    server.post(client, token).json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap()
}
