use std::io::IsTerminal;
use std::process::ExitCode;

use rmcp::ServiceExt;

use super::{CommandError, DRAIN, Running, Signals, end};
use crate::configuration::{IdentityArguments, IdentitySettings};
use crate::telemetry;

/// Serves the one user of a process, over its stdin and stdout.
pub(super) async fn run(
    running: Running,
    identity: &IdentityArguments,
    mut signals: Signals,
) -> Result<ExitCode, CommandError> {
    // The hold on our own PostgreSQL is kept to the end.
    let Running { deployment, service, maintenance } = running;
    let caller = service.caller(&deployment, &IdentitySettings::resolve(identity)?).await?;
    if std::io::stdin().is_terminal() {
        telemetry::announce(
            "Serving MCP over stdio: a client starts this program by itself. `bailiwick demo` shows what it does; Ctrl-D ends.",
        );
    }
    let served = tokio::select! {
        served = service.server(caller).serve(rmcp::transport::stdio_pipes()) => served,
        _ = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let serving = match served {
        Ok(serving) => serving,
        // stdin ended before a client introduced itself: nothing to serve is no failure.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => {
            tracing::info!("no client came");
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error.into()),
    };
    let stop = serving.cancellation_token();
    let mut ended = std::pin::pin!(serving.waiting());
    let asked = tokio::select! {
        end = &mut ended => {
            tracing::info!(?end, "client gone");
            false
        }
        signal = signals.next() => {
            tracing::info!(signal = signal.name, "ending: calls under way are answered, new ones are refused");
            true
        }
    };
    let last = maintenance.end();
    let drained = async {
        if asked {
            service.drain(DRAIN).await;
            stop.cancel();
            // Their answers have left when this returns.
            let _ = ended.await;
        }
        let all_kept = service.drain(DRAIN).await;
        last.set().await;
        all_kept
    };
    Ok(end(drained, asked, signals).await)
}
