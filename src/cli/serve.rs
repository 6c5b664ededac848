use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use rmcp::ServiceExt;

use super::CommandError;
use super::signals::Signals;
use crate::audit::Keeping;
use crate::configuration::{AuditArguments, DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings};
use crate::identity::Caller;
use crate::startup::{Deployment, Service};

/// The background's work on indexes and seals, which ends with the server.
struct Maintenance(Option<tokio::task::JoinHandle<()>>);

impl Maintenance {
    fn of(deployment: &Deployment, audit: &AuditArguments) -> Result<Self, CommandError> {
        let Ok(config) = deployment.admin() else {
            tracing::warn!(
                "no administrator's connection (BAILIWICK_ADMIN_DATABASE_URL): run `bailiwick maintain` now and then, or searches slow down as documents come and the audit trail is not sealed"
            );
            return Ok(Self(None));
        };
        let keeping = Keeping::open(audit, deployment.data_dir())?;
        Ok(Self(Some(crate::maintenance::spawn(config.clone(), keeping))))
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// How long calls under way may take once the end was asked for. With what is done after it less than half a minute.
const DRAIN: Duration = Duration::from_secs(12);

/// Serves MCP over stdio until the client closes it or a signal asks for the end. Both let the calls under way end; a second
/// signal does not.
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    identity: &IdentityArguments,
) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::listen()?;
    let started = tokio::select! {
        started = start(database, audit, identity) => started?,
        signal = signals.next() => return Ok(signal.exit_code()),
    };
    // The hold on our own PostgreSQL is kept to the end.
    let (Running { deployment: _deployment, service, maintenance }, caller) = started;
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
    let mut asked = tokio::select! {
        end = &mut ended => {
            tracing::info!(?end, "client gone");
            false
        }
        signal = signals.next() => {
            tracing::info!(signal = signal.name, "ending: calls under way are answered, new ones are refused");
            true
        }
    };
    drop(maintenance);
    let is_open = asked;
    let mut drained = std::pin::pin!(async {
        if is_open {
            service.drain(DRAIN).await;
            stop.cancel();
            // Their answers have left when this returns.
            let _ = ended.await;
        }
        service.drain(DRAIN).await
    });
    loop {
        tokio::select! {
            all_kept = &mut drained => return Ok(if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
            signal = signals.next() => {
                // A client that closes stdin often sends one signal more.
                if asked {
                    tracing::warn!(signal = signal.name, "ended at once");
                    return Ok(signal.exit_code());
                }
                asked = true;
            }
        }
    }
}

/// What a server has open.
struct Running {
    deployment: Deployment,
    service: Service,
    maintenance: Maintenance,
}

async fn start(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    identity: &IdentityArguments,
) -> Result<(Running, Caller), CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let identity = IdentitySettings::resolve(identity)?;
    let deployment = Deployment::open(&settings).await?;
    let service = Service::start(&deployment, &settings).await?;
    let caller = service.caller(&deployment, &identity).await?;
    if std::io::stdin().is_terminal() {
        eprintln!(
            "Serving MCP over stdio: a client starts this program by itself. `bailiwick demo` shows what it does; Ctrl-D ends."
        );
    }
    let maintenance = Maintenance::of(&deployment, audit)?;
    Ok((Running { deployment, service, maintenance }, caller))
}
