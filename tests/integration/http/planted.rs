//! Whatever a caller says of tenants, in whatever place: the credential alone counts, and it is told to nobody.

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::issuer::{AUDIENCE, TestIssuer, stranger};
use super::listening::Listening;
use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::harness::TestDatabase;

#[tokio::test]
async fn a_tenant_that_is_named_anywhere_but_in_the_credential_is_not_entered() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let options = HttpOptions { legacy_sse: true, ..HttpOptions::default() };
    let server = HttpServer::start_all(&database, options, Toolbox::new(&model()), Some(issuer.options())).await;
    let client = Client::new();
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    server.call(&client, &ada, "insert_document", json!({ "title": "Hers", "content": "secret plans" })).await;
    let demo = database.tenant("demo").await.id.to_string();
    let mut claims = issuer.claims("enterprise", ALL_SCOPES);
    // Claims that are not the one that counts.
    for name in ["tenant_id", "tid", "org", "organization", "bailiwick"] {
        claims[name] = json!(demo);
    }
    claims["sub"] = "eve".into();
    let token = issuer.token(&claims);
    let keyed = key(&database, "enterprise", "eve", ALL_SCOPES).await;
    let mut message = tool_call(1, "hybrid_search", &json!({ "query": "secret plans" }));
    message["params"]["_meta"] = json!({ "tenant": demo, "tenant_id": demo, "user": "ada", "scope": "audit:read" });
    message["params"]["tenant"] = json!(demo);
    let mut streams = Vec::new();
    for credential in [&token, &keyed] {
        let post = server.post(&client, credential).query_string(&format!("tenant={demo}&sessionId={demo}"));
        let post = ["x-tenant-id", "x-tenant", "x-bailiwick-tenant", "mcp-session-id", "x-user", "x-forwarded-user"]
            .into_iter()
            .fold(post, |post, name| post.header(name, &demo));
        let answer: Value = post.json(&message).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["result"]["structuredContent"]["results"], json!([]), "{answer}");
        let planted =
            server.call(&client, credential, "hybrid_search", json!({ "query": "x", "tenant_id": demo })).await;
        assert!(planted["content"][0]["text"].as_str().unwrap().starts_with("invalid_input: "), "{planted}");
        let mut stream = Listening::start(&client, &server.url(""), credential).await;
        stream.introduce().await;
        assert_eq!(stream.post(&message).await, StatusCode::ACCEPTED);
        assert_eq!(stream.answer().await["result"]["structuredContent"]["results"], json!([]));
        streams.push(stream);
    }
    // A stream that a key opened is its user's, whatever else she has.
    assert_eq!(streams[1].post_as(&token, &message).await, StatusCode::ACCEPTED);
    let whose = "SELECT string_agg(DISTINCT t.slug || ' ' || a.user_id, ', ') FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id";
    assert_eq!(streams[1].answer().await["result"]["structuredContent"]["results"], json!([]));
    assert_eq!(database.value::<String>(whose).await, "demo ada, enterprise eve");
}

trait QueryString {
    fn query_string(self, query: &str) -> Self;
}

impl QueryString for reqwest::RequestBuilder {
    fn query_string(self, query: &str) -> Self {
        let (client, request) = self.build_split();
        let mut request = request.unwrap();
        request.url_mut().set_query(Some(query));
        Self::from_parts(client, request)
    }
}

#[tokio::test]
async fn a_token_is_in_no_line_at_any_level() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let loud = "trace,bailiwick=trace,hyper=trace,reqwest=trace,rustls=trace,jsonwebtoken=trace,rmcp=trace,h2=trace";
    let served = Served::start_with(&database, |command| {
        command.env("BAILIWICK_LOG", loud).env("RUST_LOG", loud).env("BAILIWICK_LEGACY_SSE", "true");
        command.env("BAILIWICK_OIDC_ISSUER", &issuer.url).env("BAILIWICK_OIDC_AUDIENCE", AUDIENCE);
        command.env("BAILIWICK_PUBLIC_URL", "https://mcp.example");
    })
    .await;
    let client = Client::new();
    let mut claims = issuer.claims("demo", ALL_SCOPES);
    claims["email"] = "canary@claims.example".into();
    let good = issuer.token(&claims);
    let forged = super::issuer::signed(&json!({ "alg": "EdDSA", "kid": "canary-kid" }), &claims, stranger);
    claims["tenant"] = "canary-tenant".into();
    let stray = issuer.token(&claims);
    claims["exp"] = 1.into();
    let tokens = [&good, &forged, &stray, &issuer.token(&claims)].map(ToString::to_string);
    for (n, token) in tokens.iter().enumerate() {
        for shown in [token.clone(), format!("{token}x"), token[..token.len() / 2].to_owned()] {
            let message = tool_call(1, "tenant_status", &json!({}));
            let status = served.post(&client, &shown).json(&message).send().await.unwrap().status();
            assert_eq!(status == StatusCode::OK, n == 0 && shown == *token);
            let query = client.post(format!("{}?access_token={shown}", served.url)).json(&message);
            assert_eq!(query.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        }
    }
    let mut stream = Listening::start(&client, &served.at(""), &good).await;
    stream.introduce().await;
    let endpoint = stream.endpoint.clone();
    drop(stream);
    let (_, lines) = served.finish().await;
    assert!(lines.iter().any(|line| line.contains("a token was refused")), "so the lines are those of a loud server");
    let mut secrets: Vec<&str> = tokens.iter().flat_map(|token| token.split('.').skip(1)).collect();
    let id = endpoint.split('=').nth(1).unwrap();
    secrets.extend(["canary@claims.example", "canary-kid", "canary-tenant", id]);
    for line in &lines {
        assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
    }
}
