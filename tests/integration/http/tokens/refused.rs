//! Every kind of wrong.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{ask, serve, with, without};
use crate::harness::TestDatabase;
use crate::http::issuer::{
    AUDIENCE, TestIssuer, ed, ed_jwk, hs256, now, ps256, public_forms, signed, signed_text, stranger, stranger_jwk,
};
use crate::http::{ALL_SCOPES, tool_call};

/// Everything that is not a good token: what it is, and it.
fn refused(issuer: &TestIssuer) -> Vec<(&'static str, String)> {
    let good = issuer.token(&issuer.claims("demo", ALL_SCOPES));
    let claims = issuer.claims("demo", ALL_SCOPES);
    let head = |more: Value| {
        let mut head = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "ed" });
        head.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        head
    };
    let headed = |more: Value| signed(&head(more), &claims, ed);
    let parts: Vec<&str> = good.split('.').collect();
    let other = issuer.token(&issuer.claims("enterprise", ALL_SCOPES));
    let mut all = vec![
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("half a token", format!("{}.{}", parts[0], parts[1])),
        ("another token's signature", format!("{}.{}.{}", parts[0], parts[1], other.rsplit('.').next().unwrap())),
        ("another token's claims", format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2])),
        ("a longer signature", format!("{good}AAAA")),
        ("five parts, as encrypted", format!("{good}.e30.e30")),
        ("a cut signature", good[..good.len() - 2].to_owned()),
        ("too long", signed(&head(json!({})), &with(issuer, "x", "y".repeat(20_000).into()), ed)),
        ("alg none", signed(&head(json!({ "alg": "none" })), &claims, |_| Vec::new())),
        ("alg None", signed(&head(json!({ "alg": "None" })), &claims, |_| Vec::new())),
        ("alg absent", signed(&json!({ "kid": "ed" }), &claims, ed)),
        ("alg twice", signed_text(r#"{"alg":"EdDSA","alg":"none","kid":"ed"}"#, &claims.to_string(), ed)),
        ("alg of another kind of key", headed(json!({ "alg": "RS256" }))),
        ("kid of another kind of key", headed(json!({ "kid": "rsa" }))),
        ("RS256 said of PS256", signed(&head(json!({ "alg": "RS256", "kid": "rsa" })), &claims, ps256)),
        ("unknown kid", headed(json!({ "kid": "nobody" }))),
        ("kid as a path", headed(json!({ "kid": "../../../../dev/null" }))),
        ("kid as SQL", headed(json!({ "kid": "ed' OR '1'='1" }))),
        ("kid is a number", headed(json!({ "kid": 7 }))),
        ("empty kid", headed(json!({ "kid": "" }))),
        ("wrong key", signed(&head(json!({})), &claims, stranger)),
        ("key in the header", signed(&head(json!({ "jwk": stranger_jwk("ed") })), &claims, stranger)),
        (
            "keys from an address in the header",
            signed(&head(json!({ "jku": "http://127.0.0.1:1/keys" })), &claims, stranger),
        ),
        ("certificate in the header", signed(&head(json!({ "x5c": ["MIIB"] })), &claims, stranger)),
        ("something critical", headed(json!({ "crit": ["exp"] }))),
        ("unencoded payload", headed(json!({ "b64": false }))),
        ("compressed", headed(json!({ "zip": "DEF" }))),
        ("a token in a token", headed(json!({ "cty": "JWT" }))),
        ("a logout token", headed(json!({ "typ": "logout+jwt" }))),
        ("a proof of possession", headed(json!({ "typ": "dpop+jwt" }))),
        ("key of use enc", signed(&head(json!({ "kid": "enc" })), &claims, stranger)),
        ("key of ops sign", signed(&head(json!({ "kid": "ops" })), &claims, stranger)),
        ("key of another alg", signed(&head(json!({ "kid": "alg" })), &claims, stranger)),
        (
            "secret among the keys",
            signed(&head(json!({ "alg": "HS256", "kid": "oct" })), &claims, |m| hs256(b"secret", m)),
        ),
    ];
    for form in public_forms() {
        for kid in ["rsa", "ed"] {
            let header = head(json!({ "alg": "HS256", "kid": kid }));
            all.push(("public key as a secret", signed(&header, &claims, |message| hs256(&form, message))));
        }
    }
    let wrong_claims = [
        ("expired", with(issuer, "exp", (now() - 60).into())),
        ("exp absent", without(issuer, "exp")),
        ("exp is a text", with(issuer, "exp", (now() + 60).to_string().into())),
        ("exp negative", with(issuer, "exp", (-1).into())),
        ("exp null", with(issuer, "exp", Value::Null)),
        ("not yet valid", with(issuer, "nbf", (now() + 120).into())),
        ("nbf is a text", with(issuer, "nbf", "tomorrow".into())),
        ("aud absent", without(issuer, "aud")),
        ("aud of another", with(issuer, "aud", "https://other.example/mcp".into())),
        ("aud almost", with(issuer, "aud", format!("{AUDIENCE}/").into())),
        ("aud a list of others", with(issuer, "aud", json!(["https://other.example/mcp", "https://mcp.example"]))),
        ("aud empty", with(issuer, "aud", json!([]))),
        ("aud null", with(issuer, "aud", Value::Null)),
        ("aud an object", with(issuer, "aud", json!({ AUDIENCE: true }))),
        ("iss absent", without(issuer, "iss")),
        ("iss of another", with(issuer, "iss", "https://evil.example".into())),
        ("iss almost", with(issuer, "iss", format!("{}/", issuer.url).into())),
        ("iss a list", with(issuer, "iss", json!([issuer.url, "https://evil.example"]))),
        ("sub absent", without(issuer, "sub")),
        ("sub empty", with(issuer, "sub", "".into())),
        ("sub a number", with(issuer, "sub", 7.into())),
        ("sub unprintable", with(issuer, "sub", "a\u{0}b".into())),
        ("sub too long", with(issuer, "sub", "x".repeat(201).into())),
        ("tenant absent", without(issuer, "tenant")),
        ("two tenants", with(issuer, "tenant", json!(["demo", "enterprise"]))),
        ("two tenants in a text", with(issuer, "tenant", "demo enterprise".into())),
        ("no tenant in the list", with(issuer, "tenant", json!([]))),
        ("tenant a number", with(issuer, "tenant", 1.into())),
        ("tenant null", with(issuer, "tenant", Value::Null)),
        ("tenant empty", with(issuer, "tenant", "".into())),
        ("unknown tenant", with(issuer, "tenant", "nobody".into())),
        ("unknown tenant's id", with(issuer, "tenant", "01234567-89ab-7def-8123-456789abcdef".into())),
        ("tenant by pattern", with(issuer, "tenant", "%".into())),
        ("tenant in capitals", with(issuer, "tenant", "Demo".into())),
        ("deleted tenant", with(issuer, "tenant", "gone".into())),
        ("bound to a key of its holder", with(issuer, "cnf", json!({ "jkt": "x" }))),
    ];
    all.extend(wrong_claims.into_iter().map(|(what, claims)| (what, issuer.token(&claims))));
    let twice = claims.to_string().replacen('{', r#"{"tenant":"enterprise","#, 1);
    all.push(("tenant twice", signed_text(&head(json!({})).to_string(), &twice, ed)));
    all
}

#[tokio::test]
async fn nothing_but_a_good_token_is_believed() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let marked = |id: &str, more: Value| {
        let mut key = stranger_jwk(id);
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    };
    let mut keys = vec![
        marked("enc", json!({ "use": "enc" })),
        marked("ops", json!({ "key_ops": ["sign"] })),
        marked("alg", json!({ "alg": "RS256" })),
        json!({ "kty": "oct", "kid": "oct", "k": "c2VjcmV0" }),
    ];
    keys.extend([ed_jwk("ed")]);
    let elsewhere = TestIssuer::start().await;
    issuer.add(keys);
    let (server, client) = (serve(&database, &issuer).await, Client::new());
    database.execute("INSERT INTO tenants (name, slug, status) VALUES ('Gone', 'gone', 'deleted')").await;
    let good = issuer.token(&issuer.claims("demo", ALL_SCOPES));
    assert_eq!(ask(&server, &client, &good).await.status(), StatusCode::OK, "so the others could be believed");
    let mut all = refused(&issuer);
    all.push(("of another issuer", elsewhere.token(&elsewhere.claims("demo", ALL_SCOPES))));
    assert!(all.len() > 75, "{}", all.len());
    let mut wrong = Vec::new();
    for (what, token) in &all {
        let response = ask(&server, &client, token).await;
        if response.status() != StatusCode::UNAUTHORIZED {
            wrong.push((what, response.status()));
            continue;
        }
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(
            challenge.contains("error=\"invalid_token\"") && challenge.contains("resource_metadata="),
            "{challenge}"
        );
        assert!(!response.text().await.unwrap().contains(&token[..20]), "{what}");
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    // A good one, but not where it belongs.
    let message = tool_call(1, "tenant_status", &json!({}));
    let post = |path: &str| {
        client.post(server.url(path)).header("accept", "application/json, text/event-stream").json(&message)
    };
    for request in [
        post(&format!("/mcp?access_token={good}")),
        post("/mcp").header("cookie", format!("access_token={good}")),
        post("/mcp").header("authorization", format!("DPoP {good}")),
        post("/mcp").header("authorization", good.clone()),
        post("/mcp").bearer_auth(&good).header("authorization", format!("Bearer {good}")),
        client.post(server.url("/mcp")).form_token(&good),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    // Who a token of a tenant that is gone is, is known; nobody's calls are in no trail.
    let rows = "SELECT string_agg(outcome || coalesce(' ' || (details->>'tenant_status'), ''), ', ' ORDER BY outcome) FROM audit_logs";
    assert_eq!(database.value::<String>(rows).await, "denied deleted, ok");
}

trait FormToken {
    fn form_token(self, token: &str) -> Self;
}

impl FormToken for reqwest::RequestBuilder {
    /// As RFC 6750, section 2.2, would have it, which MCP does not allow.
    fn form_token(self, token: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(format!("access_token={token}"))
    }
}
