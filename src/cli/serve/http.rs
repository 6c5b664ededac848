use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::{CommandError, DRAIN, Running, Signals, end};
use crate::configuration::HttpSettings;
use crate::http::{Exposition, Listener, Tls, connections_within_limits, serve};
use crate::telemetry;

/// Serves all tenants that have keys, over HTTP.
pub(super) async fn run(running: Running, http: HttpSettings, mut signals: Signals) -> Result<ExitCode, CommandError> {
    let Running { deployment, service, maintenance } = running;
    let HttpSettings { address, mut options, tls, issuer } = http;
    options.most_connections = connections_within_limits(options.most_connections);
    let tls = tls.map(Tls::open).transpose()?;
    let is_encrypted = tls.is_some();
    let mut listener = Listener::bind(address).await.map_err(|error| format!("cannot listen at {address}: {error}"))?;
    if let Some(tls) = tls {
        listener = listener.with_tls(tls);
    }
    let address = listener.address()?;
    let scheme = if is_encrypted { "https" } else { "http" };
    let token = issuer.as_ref().map_or_else(String::new, |issuer| format!(" or a token of {}", issuer.issuer.as_str()));
    telemetry::announce(&format!(
        "Serving MCP at {scheme}://{address}/mcp for callers with an API key (`bailiwick key create`){token}. Ctrl-C ends."
    ));
    if !address.ip().is_loopback() && !is_encrypted && options.trusted_proxies.is_empty() {
        tracing::warn!(
            "KEYS, TOKENS AND DOCUMENTS TRAVEL UNENCRYPTED: this address is not only this machine's. Set BAILIWICK_TLS_CERT and BAILIWICK_TLS_KEY, or put a proxy with TLS before the server and name it in BAILIWICK_TRUSTED_PROXIES"
        );
    }
    if options.metrics_by_tenant {
        crate::call::metering::count_by_tenant();
    }
    let router = service.router(&deployment, options.clone(), issuer, Some(Exposition::install()?))?;
    let stop = CancellationToken::new();
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
    drop(maintenance);
    let drained = async {
        let all_kept = service.drain(DRAIN).await;
        stop.cancel();
        let _ = serving.await;
        all_kept
    };
    Ok(end(drained, true, signals).await)
}
