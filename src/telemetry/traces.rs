use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::blocking::Client;
use reqwest::{Certificate, redirect};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// How long the last spans may take at the end of the process.
pub(super) const LAST_SPANS: Duration = Duration::from_secs(2);
/// How long the collector may take for one batch.
const BATCH_LIMIT: Duration = Duration::from_secs(5);

/// Sends spans by OTLP over HTTP to `endpoint` + `/v1/traces`, in batches from a thread of its own; what a collector that is
/// away does not take is lost and delays nobody. Sampler and bounds are the SDK's, by their usual variables (`OTEL_TRACES_SAMPLER`,
/// `OTEL_BSP_…`, `OTEL_EXPORTER_OTLP_HEADERS`; OpenTelemetry, SDK configuration). Over `https` the collector must be one that this machine's
/// authorities vouch for, or that of `OTEL_EXPORTER_OTLP_CERTIFICATE` (OpenTelemetry Protocol Exporter).
pub(super) fn provider(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let wrong = |why: &dyn std::fmt::Display| {
        format!("OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint:?}; expected a URL like http://127.0.0.1:4318: {why}")
    };
    let uri: http::Uri = endpoint.parse().map_err(|error| wrong(&error))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong(&"it has no http:// or https://"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        // Unlike a header's value it would show in process lists and in messages.
        return Err(
            "OTEL_EXPORTER_OTLP_ENDPOINT holds a credential; put it into OTEL_EXPORTER_OTLP_HEADERS.".to_owned()
        );
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(BATCH_LIMIT)
        .with_http_client(client()?)
        .build()
        .map_err(|error| wrong(&error))?;
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name("bailiwick");
    }
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = resource.with_attribute(version).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// What asks the collector.
fn client() -> Result<Client, String> {
    // Whoever can redirect could have the headers sent anywhere.
    let mut builder = Client::builder().timeout(BATCH_LIMIT).redirect(redirect::Policy::none());
    let given = |name: &&str| std::env::var_os(name).filter(|path| !path.is_empty());
    let names = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
    if let Some((name, path)) = names.iter().find_map(|name| Some((name, given(name)?))) {
        let wrong = |why: String| format!("{name} is {path:?}; expected a file of certificates in PEM: {why}");
        let pem = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
        if authorities.is_empty() {
            return Err(wrong("it holds none".to_owned()));
        }
        builder = builder.tls_certs_only(authorities);
    }
    // It has a runtime of its own, which cannot be made within ours.
    let built = std::thread::spawn(move || builder.build()).join();
    match built {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(format!("no client for the collector of OTEL_EXPORTER_OTLP_ENDPOINT: {error}")),
        Err(_panic) => Err("no client for the collector of OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()),
    }
}

/// This program's spans, without the lines logged in them.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + Send + Sync + for<'span> LookupSpan<'span>,
{
    let ours = |metadata: &Metadata<'_>| metadata.is_span() && metadata.target().starts_with("bailiwick");
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("bailiwick"))
        .with_location(false)
        .with_threads(false)
        .with_filter(filter_fn(ours))
}
