//! Good tokens, and for how long they are.

use bailiwick::mcp::Toolbox;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{ask, but, options, serve, with};
use crate::harness::TestDatabase;
use crate::http::issuer::{AUDIENCE, TestIssuer, ec, ed, now, ps256, rs256, signed};
use crate::http::{ALL_SCOPES, HttpServer, key, model, tool_call};

#[tokio::test]
async fn a_good_token_is_whom_it_says_with_every_algorithm() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let (server, client) = (serve(&database, &issuer).await, Client::new());
    let toolbox = Toolbox::new(&model());
    let readers: Vec<_> =
        toolbox.scopes().filter(|(_, scope)| scope.name() == "documents:read").map(|(tool, _)| tool).collect();
    let enterprise = database.tenant("enterprise").await.id.to_string();
    let claims = |tenant: &str, user: &str| {
        let mut claims = issuer.claims(tenant, "openid documents:read all");
        claims["sub"] = user.into();
        claims
    };
    let head = |alg: &str, kid: &str| json!({ "alg": alg, "typ": "JWT", "kid": kid });
    let id = claims(&enterprise.to_uppercase(), "d");
    let mut listed = claims("demo", "e");
    listed["aud"] = json!(["https://other.example", AUDIENCE]);
    listed["tenant"] = json!(["demo"]);
    listed["scope"] = json!(["documents:read", "profile"]);
    let mut by_scp = claims("demo", "f");
    by_scp.as_object_mut().unwrap().remove("scope");
    by_scp["scp"] = json!(["documents:read"]);
    for token in [
        issuer.token(&claims("demo", "a")),
        signed(&head("ES256", "ec"), &claims("demo", "b"), ec),
        signed(&head("RS256", "rsa"), &claims("demo", "c"), rs256),
        signed(&head("PS256", "rsa"), &id, ps256),
        // Without a kid it is plain which key is meant: there is one of its kind.
        signed(&json!({ "alg": "EdDSA" }), &listed, ed),
        issuer.token(&by_scp),
    ] {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let list: Value = server.post(&client, &token).json(&list).send().await.unwrap().json().await.unwrap();
        let tools = list["result"]["tools"].as_array().unwrap();
        let tools: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(tools, readers, "no word stands for more scopes than itself");
        let answer: Value = ask(&server, &client, &token).await.json().await.unwrap();
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
    let whose = "SELECT string_agg(t.slug || ' ' || a.user_id, ', ' ORDER BY a.id) FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id";
    assert_eq!(database.value::<String>(whose).await, "demo a, demo b, demo c, enterprise d, demo e, demo f");
    assert_eq!(issuer.asked(), 1, "its keys were fetched once");
    let keyed = key(&database, "demo", "k", ALL_SCOPES).await;
    assert_eq!(ask(&server, &client, &keyed).await.status(), StatusCode::OK, "keys are believed beside tokens");
}

#[tokio::test]
async fn a_suspended_or_deleted_tenant_ends_its_tokens_within_a_second() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let (server, client) = (serve(&database, &issuer).await, Client::new());
    let token = issuer.token(&issuer.claims("demo", ALL_SCOPES));
    assert_eq!(ask(&server, &client, &token).await.status(), StatusCode::OK);
    for (status, answer) in [("suspended", StatusCode::FORBIDDEN), ("deleted", StatusCode::UNAUTHORIZED)] {
        database.execute(&format!("UPDATE tenants SET status = '{status}' WHERE slug = 'demo'")).await;
        if status == "suspended" {
            // While it is believed to be active a call comes through the door, and is denied by what the call itself sees. A machine
            // that is slow may have learnt of it already.
            let asked = ask(&server, &client, &token).await;
            let text = match asked.status() {
                StatusCode::FORBIDDEN => asked.text().await.unwrap(),
                _ => {
                    let told: Value = asked.json().await.unwrap();
                    told["result"]["content"][0]["text"].as_str().unwrap().to_owned()
                }
            };
            assert!(text.starts_with("forbidden: your tenant is suspended"), "{text}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(1_300)).await;
        assert_eq!(ask(&server, &client, &token).await.status(), answer, "{status}");
    }
    let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'denied'";
    assert_eq!(database.value::<i64>(denied).await, 3, "its trail is there to tell of each");
}

#[tokio::test]
async fn a_token_that_expires_while_it_is_used_is_refused() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let (server, client) = (serve(&database, &issuer).await, Client::new());
    // Clocks may differ by thirty seconds.
    let token = issuer.token(&with(&issuer, "exp", (now() - 26).into()));
    assert_eq!(ask(&server, &client, &token).await.status(), StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_millis(6_200)).await;
    assert_eq!(ask(&server, &client, &token).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn claims_are_where_they_were_said_to_be() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let mut wanted = issuer.options();
    wanted.tenant_claim = "/organisation/slug".parse().unwrap();
    wanted.user_claim = "email".parse().unwrap();
    wanted.scope_claims = vec!["https://mcp.example/scopes".parse().unwrap()];
    let server = HttpServer::start_all(&database, options(), Toolbox::new(&model()), Some(wanted)).await;
    let claims = but(&issuer, |claims| {
        claims["organisation"] = json!({ "slug": "enterprise" });
        claims["email"] = "ada@enterprise.example".into();
        claims["https://mcp.example/scopes"] = json!(["documents:read"]);
    });
    let client = Client::new();
    assert_eq!(ask(&server, &client, &issuer.token(&claims)).await.status(), StatusCode::OK);
    let whose = "SELECT t.slug || ' ' || a.user_id FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id";
    assert_eq!(database.value::<String>(whose).await, "enterprise ada@enterprise.example");
    let denied = server.post(&client, &issuer.token(&claims)).json(&tool_call(1, "cost_report", &json!({})));
    assert_eq!(denied.send().await.unwrap().status(), StatusCode::FORBIDDEN, "the usual claim does not count");
    assert_eq!(
        ask(&server, &client, &issuer.token(&issuer.claims("demo", ALL_SCOPES))).await.status(),
        StatusCode::UNAUTHORIZED
    );
}
