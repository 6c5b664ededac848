use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::call::metering;

/// The figures of this process, as Prometheus reads them.
#[derive(Clone)]
pub struct Exposition(PrometheusHandle);

/// Bounds of the histograms' buckets, in seconds.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Exposition {
    /// Starts collecting, for the whole process: once.
    ///
    /// # Errors
    /// If figures are collected already.
    pub fn install() -> Result<Self, String> {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
        let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(|error| error.to_string())?;
        metering::describe();
        metrics::describe_counter!(
            "bailiwick_http_requests_total",
            "HTTP requests that were answered, by route and status."
        );
        metrics::describe_counter!(
            "bailiwick_http_connections_refused_total",
            "Connections beyond the bounds, closed unheard."
        );
        metrics::describe_counter!(
            "bailiwick_http_unauthenticated_total",
            "Requests without a credential that is good, by reason."
        );
        Ok(Self(handle))
    }

    /// The figures in Prometheus's text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
