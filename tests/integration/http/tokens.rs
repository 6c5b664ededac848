//! Tokens of an issuer: which are believed, as whom, and that all others are refused.

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::issuer::{
    AUDIENCE, TestIssuer, ec, ed, ed_jwk, hs256, now, ps256, public_forms, rs256, signed, signed_text, stranger,
    stranger_jwk,
};
use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::harness::TestDatabase;

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

#[tokio::test]
async fn a_token_that_lacks_a_scope_is_told_which_and_leaves_one_row_a_call() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let (server, client) = (serve(&database, &issuer).await, Client::new());
    let toolbox = Toolbox::new(&model());
    let mut denied = 0;
    for (tool, scope) in toolbox.scopes().map(|(tool, scope)| (tool, scope.name())) {
        denied += 1;
        let others = ALL_SCOPES.replace(scope, "");
        let token = issuer.token(&issuer.claims("demo", &others));
        let response = server.post(&client, &token).json(&tool_call(7, tool, &json!({}))).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{tool}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
        // What it has and what it needs, in the order of all.
        assert!(challenge.contains(&format!("scope=\"{ALL_SCOPES}\"")), "{challenge}");
        assert!(challenge.contains("resource_metadata=\"https://mcp.example/.well-known/"), "{challenge}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(7), &json!(true)));
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("forbidden: ") && text.contains(scope), "{text}");
    }
    let none = issuer.token(&issuer.claims("demo", "openid profile"));
    assert_eq!(ask(&server, &client, &none).await.status(), StatusCode::FORBIDDEN);
    let rows = "SELECT count(*) || ' ' || count(*) FILTER (WHERE outcome = 'denied') FROM audit_logs";
    denied += 1;
    assert_eq!(database.value::<String>(rows).await, format!("{denied} {denied}"));
    // Whoever has a key cannot ask for more, so the model is told.
    let reader = key(&database, "demo", "reader", "documents:read").await;
    let response = server.post(&client, &reader).json(&tool_call(1, "cost_report", &json!({}))).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
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
            // While it is believed to be active a call comes through the door, and is denied by what the call itself sees.
            let told: Value = ask(&server, &client, &token).await.json().await.unwrap();
            let text = told["result"]["content"][0]["text"].as_str().unwrap();
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
    let token = issuer.token(&with(&issuer, "exp", (now() - 28).into()));
    assert_eq!(ask(&server, &client, &token).await.status(), StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_millis(4_200)).await;
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

#[tokio::test]
async fn clients_are_told_where_tokens_come_from() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let (server, client) = (serve(&database, &issuer).await, Client::new());
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let metadata: Value = client.get(server.url(path)).send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["resource"], "https://mcp.example/mcp");
        assert_eq!(metadata["authorization_servers"], json!([issuer.url]));
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
        assert_eq!(metadata["scopes_supported"], json!(ALL_SCOPES.split(' ').collect::<Vec<_>>()));
    }
    let stranger = client.post(server.url("/mcp")).send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    for path in ["sse", "a2a"] {
        let there =
            client.get(server.url(&format!("/.well-known/oauth-protected-resource/{path}"))).send().await.unwrap();
        assert_eq!(there.status(), StatusCode::NOT_FOUND, "{path} is not served");
    }
    assert_eq!(
        stranger.headers()["www-authenticate"],
        "Bearer realm=\"bailiwick\", scope=\"documents:read documents:write costs:read\", resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\""
    );
}

/// A client compares the name of what it is given access to with the URL that it was given (RFC 9728, section 3.3).
#[tokio::test]
async fn each_face_is_a_resource_with_metadata_and_challenges_of_its_own() {
    let (database, issuer) = (TestDatabase::create().await, TestIssuer::start().await);
    let everything = HttpOptions { legacy_sse: true, a2a: true, ..options() };
    let server = HttpServer::start_all(&database, everything, Toolbox::new(&model()), Some(issuer.options())).await;
    let client = Client::new();
    let resources =
        [("POST", "/mcp", "mcp"), ("GET", "/sse", "sse"), ("POST", "/messages", "sse"), ("POST", "/a2a", "a2a")];
    for (method, path, resource) in resources {
        for credential in ["none", "Bearer rubbish"] {
            let request = client.request(method.parse().unwrap(), server.url(path));
            let refused = request.header("authorization", credential).send().await.unwrap();
            let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
            let place = format!("/.well-known/oauth-protected-resource/{resource}");
            assert!(challenge.ends_with(&format!("resource_metadata=\"https://mcp.example{place}\"")), "{challenge}");
            let told: Value = client.get(server.url(&place)).send().await.unwrap().json().await.unwrap();
            assert_eq!(told["resource"], format!("https://mcp.example/{resource}"), "{path}");
        }
    }
    // For want of a scope, too.
    let reader = issuer.token(&issuer.claims("demo", "documents:read"));
    let denied = server.post(&client, &reader).json(&tool_call(1, "cost_report", &json!({}))).send().await.unwrap();
    let challenge = denied.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.ends_with("oauth-protected-resource/mcp\""), "{challenge}");
}
