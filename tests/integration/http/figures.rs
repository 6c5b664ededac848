//! What `/metrics` and `/readyz` tell.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::served::Served;
use super::{ALL_SCOPES, key, tool_call};
use crate::harness::TestDatabase;

/// Figures of events that this test does not bring about.
const SELDOM: [&str; 17] = [
    "bailiwick_http_body_bytes",
    "bailiwick_http_refused_total",
    "bailiwick_maintenance_vector_indexes_total",
    "bailiwick_token_checks_total",
    "bailiwick_token_lookups_total",
    "bailiwick_token_tenant_lookups_total",
    // Those of a replica, of streams and of an embedder, where there are any.
    "bailiwick_replica_lag_seconds",
    "bailiwick_replica_reads_total",
    "bailiwick_http_streams",
    "bailiwick_embedded_texts_total",
    "bailiwick_embedding_breaker_open",
    "bailiwick_embedding_duration_seconds",
    "bailiwick_embedding_failures_total",
    "bailiwick_embedding_model_foreign",
    "bailiwick_embedding_tokens_total",
    "bailiwick_embedding_waiting_tenants",
    "bailiwick_query_embeddings_total",
];

async fn figures(served: &Served, client: &Client) -> String {
    client.get(&served.figures).send().await.unwrap().text().await.unwrap()
}

/// The value of the one series that begins so.
fn value(figures: &str, series: &str) -> Option<f64> {
    let line = figures.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn every_figure_is_described_and_every_description_has_its_figure() {
    let database = TestDatabase::create().await;
    let admin = database.url("postgres").await;
    let served = Served::start_with(&database, |command| {
        command.env("BAILIWICK_ADMIN_DATABASE_URL", admin);
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    for (tool, arguments) in [
        ("insert_document", json!({ "title": "t", "content": "words" })),
        ("hybrid_search", json!({ "query": "words" })),
        ("hybrid_search", json!({ "query": "" })),
        // The whole budget, and more than that.
        (
            "record_usage",
            json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 0, "output_tokens": 5_000_000 }),
        ),
        (
            "record_usage",
            json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 0, "output_tokens": 1 }),
        ),
    ] {
        served.post(&client, &ada).json(&tool_call(1, tool, &arguments)).send().await.unwrap();
    }
    served.post(&client, "nobody").json(&json!({})).send().await.unwrap();
    // Several at once, so that one look-up is several requests' however slow this machine is.
    let status = tool_call(1, "tenant_status", &json!({}));
    let at_once = (0..10).map(|_| served.post(&client, &ada).json(&status).send());
    futures_util::future::join_all(at_once).await.into_iter().for_each(|answer| drop(answer.unwrap()));
    // A pass of the background's work and of the sealer, and a look at what they leave.
    let cluster: i64 = database.value("SELECT system_identifier FROM pg_control_system()").await;
    let of_database = format!("{{database=\"{}@{cluster}\"}}", database.name());
    let lag = format!("bailiwick_audit_lag_seconds{of_database}");
    let unmerged = format!("bailiwick_maintenance_unmerged_chunks{of_database}");
    let mut told = String::new();
    for _ in 0..300 {
        told = figures(&served, &client).await;
        if value(&told, "bailiwick_audit_sealed_rows_total").is_some()
            && value(&told, &lag) == Some(0.0)
            && value(&told, "bailiwick_budget_alerts_total{level=\"EXCEEDED\",period=\"month\"}")
                .is_some_and(|count| count > 0.0)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let described: BTreeSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let typed: BTreeSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let ours = |name: &&&str| name.starts_with("bailiwick_");
    let undescribed: Vec<_> = typed.difference(&described).filter(ours).collect();
    assert!(undescribed.is_empty(), "without a description: {undescribed:?}\n{told}");
    // What nobody has counted yet is not shown, so the descriptions are read where they are written.
    let written = described_in_sources();
    let missing: Vec<_> =
        written.iter().filter(|name| !typed.contains(name.as_str()) && !SELDOM.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "described, and nowhere: {missing:?}\n{told}");
    let strange: Vec<_> = typed.iter().filter(ours).filter(|name| !written.contains(**name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    for series in [
        "bailiwick_pool_connections{pool=\"calls\"}",
        "bailiwick_pool_waiting{pool=\"trail\"}",
        "bailiwick_calls_running",
        "bailiwick_calls_waiting",
        "bailiwick_audit_spooled_bytes",
        lag.as_str(),
        unmerged.as_str(),
    ] {
        assert!(value(&told, series).is_some_and(f64::is_finite), "{series}\n{told}");
    }
    let failed = "bailiwick_call_failures_total{tool=\"hybrid_search\",code=\"invalid_input\"}";
    assert_eq!(value(&told, failed), Some(1.0));
    // It was not looked up each time.
    let (checks, lookups) =
        (value(&told, "bailiwick_key_checks_total").unwrap(), value(&told, "bailiwick_key_lookups_total").unwrap());
    assert!(lookups >= 1.0 && lookups < checks, "{lookups} of {checks}");
    let demo = database.tenant("demo").await.id.to_string();
    assert!(!told.contains(&demo) && !told.contains("ada"), "no tenant and no user is named");
}

/// The names that `metrics::describe_…!` is called with.
fn described_in_sources() -> BTreeSet<String> {
    fn visit(folder: &std::path::Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, names);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for call in text.split("metrics::describe_").skip(1) {
                    names.insert(call.split('"').nth(1).unwrap().to_owned());
                }
            }
        }
    }
    let mut names = BTreeSet::new();
    visit(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    assert!(names.len() > 15, "{names:?}");
    names
}

#[tokio::test]
async fn readiness_tells_what_is_in_the_way() {
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let client = Client::new();
    let ready = async || {
        // What was found holds for a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let response = client.get(served.at("/readyz")).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let (status, told) = ready().await;
    assert_eq!(status, StatusCode::OK, "{told}");
    for part in ["ready", "database", "migrations", "audit", "spool"] {
        assert_eq!(told[part], true, "{told}");
    }
    // A newer program's schema: this one goes on until it is replaced.
    database.execute("UPDATE schema_migrations SET version = version + 1000").await;
    let (status, told) = ready().await;
    assert_eq!((status, &told["migrations"]), (StatusCode::OK, &json!(false)), "{told}");
    database.execute("UPDATE schema_migrations SET version = version - 1001").await;
    let (status, told) = ready().await;
    assert_eq!(
        (status, &told["database"], &told["migrations"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(true), &json!(false)),
        "{told}"
    );
    database.execute("UPDATE schema_migrations SET version = version + 1").await;
    assert_eq!(ready().await.0, StatusCode::OK);
}

/// What a proxy on this machine sends on for a stranger looks in nothing unlike what this machine's own programs send.
#[tokio::test]
async fn figures_are_read_with_their_token_or_at_this_machines_own_listener_and_nowhere_else() {
    let database = TestDatabase::create().await;
    let client = Client::new();
    let open = Served::start(&database).await;
    assert!(open.figures.starts_with("http://127.0.0.1:"), "{}", open.figures);
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(client.get(&open.figures)).await, StatusCode::OK);
    assert_eq!(status(client.get(open.at("/metrics"))).await, StatusCode::NOT_FOUND, "nobody's, without a token");
    assert_eq!(status(client.get(open.at("/metrics")).bearer_auth("")).await, StatusCode::NOT_FOUND);
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "localhost.evil.example"),
        ("origin", "http://localhost:3000"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
    ] {
        assert_eq!(
            status(client.get(&open.figures).header(name, value)).await,
            StatusCode::NOT_FOUND,
            "{name}: {value}"
        );
    }
    // Nothing else is at that address.
    for path in ["/", "/mcp", "/healthz", "/readyz", "/metrics/x"] {
        let there = open.figures.replace("/metrics", path);
        assert_eq!(status(client.get(there)).await, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(open.finish().await.0, Some(0));

    let guarded = Served::start_with(&database, |command| {
        command.args(["--metrics-token", "figures"]);
    })
    .await;
    for url in [guarded.figures.clone(), guarded.at("/metrics")] {
        assert_eq!(status(client.get(&url).bearer_auth("figures")).await, StatusCode::OK, "{url}");
        assert_eq!(status(client.get(&url)).await, StatusCode::NOT_FOUND, "{url}");
        for wrong in ["figure", "figuresx", "Figures", ""] {
            assert_eq!(status(client.get(&url).bearer_auth(wrong)).await, StatusCode::NOT_FOUND, "{url} {wrong}");
        }
        let two = client.get(&url).header("authorization", "Bearer figures").header("authorization", "Bearer x");
        assert_eq!(status(two).await, StatusCode::NOT_FOUND, "{url}");
    }
}
