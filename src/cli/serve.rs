use std::io::IsTerminal;

use rmcp::ServiceExt;

use super::CommandError;
use crate::configuration::{DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings};
use crate::startup::{Deployment, Service};

/// The background's work on the indexes, which ends with the server.
struct Maintenance(Option<tokio::task::JoinHandle<()>>);

impl Maintenance {
    fn of(deployment: &Deployment) -> Self {
        match deployment.admin() {
            Ok(config) => Self(Some(crate::maintenance::spawn(config.clone()))),
            Err(_) => {
                tracing::warn!(
                    "no administrator's connection (BAILIWICK_ADMIN_DATABASE_URL): run `bailiwick maintain` now and then, or searches slow down as documents come"
                );
                Self(None)
            }
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Serves MCP over stdio until the client closes it.
pub(super) async fn run(database: &DatabaseArguments, identity: &IdentityArguments) -> Result<(), CommandError> {
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
    let _maintenance = Maintenance::of(&deployment);
    let server = service.server(caller);
    match server.serve(rmcp::transport::stdio_pipes()).await {
        Ok(running) => {
            let end = running.waiting().await?;
            tracing::info!(?end, "client gone");
        }
        // stdin ended before a client introduced itself: nothing to serve is no failure.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => {
            tracing::info!("no client came");
        }
        Err(error) => return Err(error.into()),
    }
    service.close();
    Ok(())
}
