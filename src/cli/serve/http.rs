use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::{CommandError, DRAIN, Running, Signals, end};
use crate::configuration::HttpSettings;
use crate::http::{Exposition, Listener, serve};
use crate::telemetry;

/// Serves all tenants that have keys, over HTTP.
pub(super) async fn run(running: Running, http: HttpSettings, mut signals: Signals) -> Result<ExitCode, CommandError> {
    let Running { deployment, service, maintenance } = running;
    let HttpSettings { address, options, issuer } = http;
    let listener = Listener::bind(address).await.map_err(|error| format!("cannot listen at {address}: {error}"))?;
    let address = listener.address()?;
    let token = issuer.as_ref().map_or_else(String::new, |issuer| format!(" or a token of {}", issuer.issuer.as_str()));
    telemetry::announce(&format!(
        "Serving MCP at http://{address}/mcp for callers with an API key (`bailiwick key create`){token}. Ctrl-C ends."
    ));
    if !address.ip().is_loopback() {
        tracing::warn!("connections are not encrypted by this server: put a proxy with TLS before it");
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
