//! Spans, as a collector gets them by OTLP over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use bailiwick::http::{HttpOptions, Listener, Tls, TlsFiles, serve};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::served::Served;
use super::{ALL_SCOPES, key, tool_call};
use crate::harness::TestDatabase;

/// A collector of traces.
pub struct Collector {
    pub endpoint: String,
    received: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    async fn start_with(tls: Option<Tls>) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let received = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&received);
        let take = async move |headers: HeaderMap, body: Bytes| {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            kept.lock().unwrap().push((headers, ExportTraceServiceRequest::decode(body).unwrap()));
            ([("content-type", "application/x-protobuf")], "")
        };
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let (scheme, listener) = match tls {
            Some(tls) => ("https", listener.with_tls(tls)),
            None => ("http", listener),
        };
        let endpoint = format!("{scheme}://localhost:{}", listener.address().unwrap().port());
        tokio::spawn(async move { serve(listener, router, &HttpOptions::default(), CancellationToken::new()).await });
        Self { endpoint, received }
    }

    /// All that came, as text, whatever its place.
    pub fn text(&self) -> String {
        format!("{:?}", self.received.lock().unwrap())
    }

    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let scopes =
            received.iter().flat_map(|(_, export)| &export.resource_spans).flat_map(|spans| &spans.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    format!("{:?}", found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value))
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn spans_join_the_trace_that_a_client_names_in_headers_and_in_meta() {
    let (database, collector) = (TestDatabase::create().await, Collector::start().await);
    let served = Served::start_with(&database, |command| {
        // Batches leave often, so that the test need not wait; a credential goes into a header.
        let batches = ("OTEL_BSP_SCHEDULE_DELAY", "100");
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
            .envs([batches, ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret")]);
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let message = tool_call(1, "tenant_status", &json!({}));
    let by_header = served.post(&client, &ada).header("traceparent", &traceparent).json(&message).send().await.unwrap();
    let id = by_header.headers()["x-request-id"].to_str().unwrap().to_owned();
    let mut with_meta = tool_call(2, "hybrid_search", &json!({ "query": "" }));
    with_meta["params"]["_meta"] =
        json!({ "traceparent": format!("00-{OTHER}-00f067aa0ba902b7-01"), "tracestate": "vendor=1" });
    served.post(&client, &ada).header("traceparent", &traceparent).json(&with_meta).send().await.unwrap();
    served.post(&client, &ada).json(&message).send().await.unwrap();
    assert_eq!(served.finish().await.0, Some(0));

    let spans = collector.spans();
    let of = |trace: &str| spans.iter().filter(|span| hex(&span.trace_id) == trace).collect::<Vec<_>>();
    let named = |spans: &[&Span], name: &str| {
        let found: Vec<Span> = spans.iter().filter(|span| span.name == name).map(|span| (*span).clone()).collect();
        assert!(!found.is_empty(), "no {name} in {spans:#?}");
        found
    };
    let ours = of(TRACE);
    let requests = named(&ours, "POST /mcp");
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| hex(&request.parent_span_id) == "b7ad6b7169203331"));
    let first = requests.iter().find(|request| attribute(request, "request_id").contains(&id)).unwrap();
    let calls = named(&ours, "call");
    assert_eq!(calls.len(), 1, "the other request's call is in the trace that its _meta names");
    assert_eq!(calls[0].parent_span_id, first.span_id);
    assert!(attribute(&calls[0], "tool").contains("tenant_status") && attribute(&calls[0], "outcome").contains("ok"));
    for part in ["turn", "arguments", "work", "commit"] {
        assert!(named(&ours, part).iter().all(|span| span.parent_span_id == calls[0].span_id), "{part}");
    }
    let theirs = of(OTHER);
    let messages = named(&theirs, "tools/call");
    assert_eq!((messages.len(), hex(&messages[0].parent_span_id).as_str()), (1, "00f067aa0ba902b7"));
    assert_eq!(messages[0].trace_state, "vendor=1");
    let calls = named(&theirs, "call");
    assert_eq!(calls[0].parent_span_id, messages[0].span_id);
    assert!(attribute(&calls[0], "outcome").contains("invalid_input"));
    assert_eq!(calls[0].status.as_ref().map(|status| status.code), Some(2), "an error, to whoever looks at the trace");
    let fresh: Vec<_> = spans.iter().filter(|span| ![TRACE, OTHER].contains(&hex(&span.trace_id).as_str())).collect();
    assert!(named(&fresh, "POST /mcp").iter().all(|request| request.parent_span_id.is_empty()));
    let received = collector.received.lock().unwrap();
    assert!(received.iter().all(|(headers, _)| headers["x-token"] == "secret"));
    let service = format!("{:?}", received[0].1.resource_spans[0].resource);
    assert!(service.contains("bailiwick") && service.contains("service.version"), "{service}");
}

#[tokio::test]
async fn a_collector_that_is_away_delays_nobody_and_a_wrong_address_is_told() {
    let database = TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        // Nobody listens at this port: it is reserved.
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    let answer = served.post(&client, &ada).json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["result"]["isError"], false);
    let begun = std::time::Instant::now();
    assert_eq!(served.finish().await.0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(20));
    for (wrong, words) in [
        ("collector:4318", "expected a URL"),
        ("ftp://x", "http://"),
        ("http://u:hidden@x", "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let output = command.args(["serve", "--otlp-endpoint", wrong]).output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(words) && !stderr.contains("hidden"), "{stderr}");
    }
}

#[tokio::test]
async fn spans_go_over_tls_to_a_collector_that_a_named_authority_vouches_for_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let shown = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    let roots = folder.path().join("authority.pem");
    std::fs::write(&files.certificate, shown.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    std::fs::write(&roots, authority.pem()).unwrap();
    let database = TestDatabase::create().await;
    let (ada, client) = (super::key(&database, "demo", "ada", ALL_SCOPES).await, Client::new());
    for is_named in [true, false] {
        let collector = Collector::start_with(Some(Tls::open(files.clone()).unwrap())).await;
        assert!(collector.endpoint.starts_with("https://"));
        let served = Served::start_with(&database, |command| {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "100");
            if is_named {
                command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", &roots);
            }
        })
        .await;
        let answer = served.post(&client, &ada).json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(served.finish().await.0, Some(0));
        assert_eq!(collector.spans().iter().any(|span| span.name == "POST /mcp"), is_named, "named: {is_named}");
    }
    for wrong in [folder.path().join("nowhere.pem"), files.key] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["serve", "--otlp-endpoint", "https://localhost:1"]).env("OTEL_EXPORTER_OTLP_CERTIFICATE", &wrong);
        let output = command.output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && stderr.contains("OTEL_EXPORTER_OTLP_CERTIFICATE"), "{stderr}");
    }
}
