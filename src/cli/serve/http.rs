use std::net::SocketAddr;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::{CommandError, DRAIN, Running, Signals, end};
use crate::configuration::HttpSettings;
use crate::http::{Exposition, HttpOptions, Listener, Tls, connections_within_limits, figures, serve};
use crate::startup::Service;
use crate::telemetry;

/// Connections of readers of figures.
const MOST_READERS: usize = 64;

/// Serves all tenants that have keys, over HTTP.
pub(super) async fn run(
    running: Running,
    http: HttpSettings,
    exposition: Exposition,
    mut signals: Signals,
) -> Result<ExitCode, CommandError> {
    let Running { deployment, service, maintenance } = running;
    let HttpSettings { address, metrics, mut options, tls, issuer } = http;
    options.most_connections = connections_within_limits(options.most_connections);
    let tls = tls.map(Tls::open).transpose()?;
    let is_encrypted = tls.is_some();
    let listener = listen(address, tls.clone()).await?;
    let address = listener.address()?;
    let stop = CancellationToken::new();
    if let Some(metrics) = metrics {
        let served = serve_figures(metrics, tls, &service, exposition.clone(), &options, stop.clone());
        telemetry::announce(&format!("Figures for Prometheus at {}/metrics.", served.await?));
    }
    let scheme = if is_encrypted { "https" } else { "http" };
    let token = issuer.as_ref().map_or_else(String::new, |issuer| format!(" or a token of {}", issuer.issuer.as_str()));
    telemetry::announce(&format!(
        "Serving MCP at {scheme}://{address}/mcp for callers with an API key (`bailiwick key create`){token}. Ctrl-C ends."
    ));
    if !address.ip().is_loopback() && !is_encrypted && options.trusted_proxies.is_empty() {
        tracing::warn!(
            "KEYS, TOKENS AND DOCUMENTS TRAVEL UNENCRYPTED: this address is not only this machine's. BAILIWICK_PLAIN_HTTP says that something else keeps its network private"
        );
    }
    if options.metrics_by_tenant {
        crate::call::metering::count_by_tenant();
    }
    let router = service.router(&deployment, options.clone(), issuer, Some(exposition))?;
    let mut serving = tokio::spawn({
        let stop = stop.clone();
        async move { serve(listener, router, &options, stop).await }
    });
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal = signal.name, "ending: calls under way are answered, new ones are refused");
        }
        ended = &mut serving => ended?,
    }
    let last = maintenance.end();
    let drained = async {
        let all_kept = service.drain(DRAIN).await;
        stop.cancel();
        let _ = serving.await;
        last.set().await;
        all_kept
    };
    Ok(end(drained, true, signals).await)
}

async fn listen(address: SocketAddr, tls: Option<Tls>) -> Result<Listener, CommandError> {
    let bound = Listener::bind(address).await.map_err(|error| format!("cannot listen at {address}: {error}"))?;
    Ok(tls.into_iter().fold(bound, Listener::with_tls))
}

/// Serves the figures alone, within the same bounds; on this machine unencrypted, for nobody else hears it. Where it is, as a URL.
async fn serve_figures(
    address: SocketAddr,
    tls: Option<Tls>,
    service: &Service,
    exposition: Exposition,
    options: &HttpOptions,
    stop: CancellationToken,
) -> Result<String, CommandError> {
    let tls = tls.filter(|_| !address.ip().to_canonical().is_loopback());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = listen(address, tls).await?;
    let url = format!("{scheme}://{}", listener.address()?);
    let options = HttpOptions { most_connections: MOST_READERS, ..options.clone() };
    let (calls, embeddings) = (service.calls().clone(), service.embeddings().clone());
    let router = figures(calls, embeddings, exposition, options.metrics_token.clone());
    tokio::spawn(async move { serve(listener, router, &options, stop).await });
    Ok(url)
}
