//! Bad credentials, and how many of them one address may show.

use bailiwick::http::HttpOptions;
use bailiwick::identity::ApiKey;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;

use super::issuer::{TestIssuer, now, signed, stranger};
use super::{ALL_SCOPES, HttpServer, key, model, reply, tool_call};
use crate::harness::TestDatabase;

fn guess() -> String {
    ApiKey::generate().unwrap().expose().to_owned()
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap().status()
}

#[tokio::test]
async fn guesses_are_put_off_by_address_and_good_keys_pass_all_the_same() {
    let database = TestDatabase::create().await;
    let options = HttpOptions {
        bad_credentials_per_minute: 5,
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..HttpOptions::default()
    };
    let server = HttpServer::start(&database, options).await;
    let client = Client::new();
    let from = |address: &str, key: &str| server.post(&client, key).header("x-forwarded-for", address);
    for guess in [guess(), guess(), "bwk_rubbish".to_owned(), guess(), guess()] {
        assert_eq!(status(from("192.0.2.1", &guess)).await, StatusCode::UNAUTHORIZED);
    }
    for guess in [guess(), "bwk_rubbish".to_owned()] {
        let request = from("192.0.2.1", &guess).json(&json!({}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=12).contains(&wait), "one in twelve seconds: {wait}");
        assert!(!response.headers().contains_key("www-authenticate"));
    }
    // Whoever shows none learns how to get one; another address is another; and a good key, never seen before, is let in from there.
    let bare = client.post(server.url("/mcp")).header("x-forwarded-for", "192.0.2.1").json(&json!({}));
    assert_eq!(bare.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(status(from("192.0.2.2", &guess())).await, StatusCode::UNAUTHORIZED);
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    for _ in 0..20 {
        assert_eq!(status(from("192.0.2.1", &guess())).await, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(status(from("192.0.2.1", &ada)).await, StatusCode::OK);
    }
    let rows = database.value::<i64>("SELECT count(*) FROM audit_logs").await;
    assert_eq!(rows, 20, "a guess is no call");
}

#[tokio::test]
async fn a_flood_of_guesses_keeps_no_newcomer_from_its_address_out() {
    let database = TestDatabase::create().await;
    let server = HttpServer::start(&database, HttpOptions::default()).await;
    let mut guessing = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let url = server.url("/mcp");
        guessing.spawn(async move {
            let client = Client::new();
            loop {
                let _ = client.post(&url).bearer_auth(guess()).json(&json!({})).send().await;
            }
        });
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    for user in ["ada", "bob", "eve"] {
        let key = key(&database, "demo", user, ALL_SCOPES).await;
        for _ in 0..10 {
            let message = tool_call(1, "tenant_status", &json!({}));
            let response = server.post(&Client::new(), &key).json(&message).send().await.unwrap();
            assert_eq!(reply(response).await["result"]["isError"], false);
        }
    }
    guessing.abort_all();
}

#[tokio::test]
async fn a_token_that_has_expired_is_told_so_however_often_it_comes() {
    let database = TestDatabase::create().await;
    let issuer = TestIssuer::start().await;
    let options = HttpOptions { bad_credentials_per_minute: 2, ..HttpOptions::default() };
    let server = HttpServer::start_all(&database, options, Toolbox::new(&model()), Some(issuer.options())).await;
    let client = Client::new();
    let mut claims = issuer.claims("demo", ALL_SCOPES);
    let forged = signed(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "ed" }), &claims, stranger);
    claims["exp"] = (now() - 600).into();
    let expired = issuer.token(&claims);
    for _ in 0..6 {
        assert_eq!(status(server.post(&client, &expired)).await, StatusCode::UNAUTHORIZED, "its holder gets another");
    }
    let forged = [status(server.post(&client, &forged)).await, status(server.post(&client, &forged)).await];
    assert_eq!(forged, [StatusCode::UNAUTHORIZED; 2]);
    assert_eq!(status(server.post(&client, &guess())).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(server.post(&client, &expired)).await, StatusCode::UNAUTHORIZED);
}
