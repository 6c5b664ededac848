use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::call::metering;

/// The figures of this process, as Prometheus reads them.
#[derive(Clone)]
pub struct Exposition {
    handle: PrometheusHandle,
    process: metrics_process::Collector,
}

/// Bounds of the histograms' buckets, in seconds.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How often values that were measured are folded into their buckets.
const TIDY_EVERY: Duration = Duration::from_secs(5);

impl Exposition {
    /// Starts collecting, for the whole process: once, in a Tokio runtime.
    ///
    /// # Errors
    /// If figures are collected already.
    pub fn install() -> Result<Self, String> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
        let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(|error| error.to_string())?;
        metering::describe();
        crate::maintenance::metering::describe();
        crate::embedding::metering::describe();
        crate::costs::alerts::describe();
        let process = metrics_process::Collector::default();
        process.describe();
        metrics::describe_gauge!("bailiwick_ready", "1 if calls can be served, as /readyz has it; 0 if they cannot.");
        metrics::describe_counter!(
            "bailiwick_http_requests_total",
            "HTTP requests that were answered, by route and status."
        );
        metrics::describe_counter!(
            "bailiwick_http_connections_refused_total",
            "Connections beyond the bounds, closed unheard."
        );
        metrics::describe_counter!(
            "bailiwick_http_connections_evicted_total",
            "Connections that asked nothing, closed to make room for new ones."
        );
        metrics::describe_gauge!(
            "bailiwick_http_body_bytes",
            "What bodies of requests hold, beside the first 16 KiB of each."
        );
        metrics::describe_gauge!("bailiwick_http_unread_bytes", "What answers hold that wait to be read.");
        metrics::describe_counter!(
            "bailiwick_http_refused_total",
            "Requests that were put off (429, 503) or refused for their tenant (403), by reason."
        );
        metrics::describe_gauge!("bailiwick_http_streams", "Streams of events that are open.");
        metrics::describe_counter!(
            "bailiwick_http_handshakes_failed_total",
            "TLS handshakes that failed or took too long."
        );
        metrics::describe_counter!(
            "bailiwick_issuer_fetches_total",
            "Times that the issuer of tokens was asked for its keys, by outcome."
        );
        metrics::describe_counter!("bailiwick_key_checks_total", "API keys that were checked.");
        metrics::describe_counter!("bailiwick_key_lookups_total", "Of them, those for which the database was asked.");
        metrics::describe_counter!(
            "bailiwick_http_unauthenticated_total",
            "Requests without a credential that is good, by reason."
        );
        begin();
        tokio::spawn(tidy(handle.clone()));
        Ok(Self { handle, process })
    }

    /// The figures in Prometheus's text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        self.process.collect();
        self.handle.run_upkeep();
        self.handle.render()
    }
}

/// Counters that alerts go by begin at 0: of one that appears with its first event no increase is seen.
fn begin() {
    for outcome in ["ok", "error"] {
        metrics::counter!("bailiwick_issuer_fetches_total", "outcome" => outcome).increment(0);
    }
    for reason in ["missing", "invalid", "unavailable"] {
        metrics::counter!("bailiwick_http_unauthenticated_total", "reason" => reason).increment(0);
    }
    metrics::counter!("bailiwick_http_connections_refused_total").increment(0);
    metrics::counter!("bailiwick_http_connections_evicted_total").increment(0);
    metrics::counter!("bailiwick_http_handshakes_failed_total").increment(0);
}

/// Folds what was measured into its buckets, also where nobody reads the figures: until then each value is kept.
async fn tidy(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        handle.run_upkeep();
    }
}
