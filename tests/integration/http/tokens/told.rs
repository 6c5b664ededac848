//! What clients are told of tokens.

use bailiwick::http::HttpOptions;
use bailiwick::mcp::Toolbox;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{ask, options, serve};
use crate::harness::TestDatabase;
use crate::http::issuer::TestIssuer;
use crate::http::{ALL_SCOPES, HttpServer, key, model, tool_call};

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
    for (uri, scope) in [("bailiwick://schema", "documents:read"), ("ui://bailiwick/cost-report", "costs:read")] {
        denied += 1;
        let token = issuer.token(&issuer.claims("demo", &ALL_SCOPES.replace(scope, "")));
        let read = json!({ "jsonrpc": "2.0", "id": 8, "method": "resources/read", "params": { "uri": uri } });
        let response = server.post(&client, &token).json(&read).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{uri}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(&format!("scope=\"{ALL_SCOPES}\"")), "{challenge}");
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
