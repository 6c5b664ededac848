mod http;
mod stdio;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::CommandError;
use super::signals::Signals;
use crate::audit::{Keeping, Sealed, Sealer};
use crate::configuration::{
    AuditArguments, BudgetArguments, DatabaseArguments, DatabaseSettings, HttpArguments, HttpSettings,
    IdentityArguments, RetentionArguments,
};
use crate::costs::alerts::Alerts;
use crate::db::{Endpoint, admin};
use crate::http::Exposition;
use crate::startup::{Deployment, Service};

/// Whom to serve, and how.
#[derive(Debug, Clone, Args, Default)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    identity: IdentityArguments,
    #[command(flatten)]
    http: HttpArguments,
    #[command(flatten)]
    budget: BudgetArguments,
}

/// The background's work on indexes and seals, which ends with the server.
pub(super) struct Maintenance {
    upkeep: Option<tokio::task::JoinHandle<()>>,
    /// Brings our own PostgreSQL back.
    watch: Option<tokio::task::JoinHandle<()>>,
    /// Tells of budgets.
    alerts: Option<Alerts>,
    /// Where and with what it seals.
    seals: Option<(Endpoint, Keeping)>,
}

impl Maintenance {
    pub(super) fn of(
        deployment: &Deployment,
        audit: &AuditArguments,
        retention: &RetentionArguments,
    ) -> Result<Self, CommandError> {
        retention.checked()?;
        let Ok(config) = deployment.admin() else {
            tracing::warn!(
                "no administrator's connection (BAILIWICK_ADMIN_DATABASE_URL): run `bailiwick maintain` now and then, or searches slow down as documents come and the audit trail is not sealed"
            );
            return Ok(Self { upkeep: None, watch: deployment.watch(), alerts: None, seals: None });
        };
        let housekeeping = super::maintain::housekeeping(deployment, audit, retention)?;
        let seals = Some((config.clone(), housekeeping.keeping.clone()));
        let upkeep = Some(crate::maintenance::spawn(config.clone(), housekeeping));
        Ok(Self { upkeep, watch: deployment.watch(), alerts: None, seals })
    }

    /// Ends it but for what is done [last](LastSeal::set).
    fn end(mut self) -> LastSeal {
        LastSeal(self.seals.take())
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        for task in [&self.upkeep, &self.watch].into_iter().flatten() {
            task.abort();
        }
    }
}

/// Seals the last calls' rows: a laptop's server lives as long as its client, and nobody else may come for days.
struct LastSeal(Option<(Endpoint, Keeping)>);

/// What may hold a seal up is not waited for any longer: the next server makes up for it.
const LAST_SEAL: Duration = Duration::from_secs(2);

impl LastSeal {
    /// Once the calls have ended, with their rows.
    async fn set(self) {
        let Some((endpoint, keeping)) = self.0 else { return };
        let seal = Box::pin(async {
            let client = admin::connect(&endpoint).await?;
            Sealer::new(keeping).settle(&client, LAST_SEAL).await
        });
        match tokio::time::timeout(LAST_SEAL, seal).await {
            Ok(Ok(Sealed::Nothing | Sealed::Rows { .. })) => {}
            Ok(Ok(sealed)) => {
                tracing::info!(?sealed, "the last rows of the audit trail are left to another server to seal");
            }
            Ok(Err(error)) => tracing::warn!(%error, "the last rows of the audit trail were not sealed"),
            Err(_elapsed) => tracing::info!("the last rows of the audit trail are left to another server to seal"),
        }
    }
}

/// How long calls under way may take once the end was asked for. With what is done after it less than half a minute.
const DRAIN: Duration = Duration::from_secs(12);

/// Serves over HTTP if that was asked for, else over stdio, until the client closes it (stdio) or a signal asks for the end. Both
/// let the calls under way end; a second signal does not.
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    retention: &RetentionArguments,
    arguments: &ServeArguments,
) -> Result<ExitCode, CommandError> {
    let http = HttpSettings::resolve(&arguments.http)?;
    let mut signals = Signals::listen()?;
    // Before anything that counts.
    let exposition = http.as_ref().map(|_| Exposition::install()).transpose()?;
    let started = tokio::select! {
        started = start(database, audit, retention, &arguments.budget) => started?,
        signal = signals.next() => return Ok(signal.exit_code()),
    };
    match http.zip(exposition) {
        Some((http, exposition)) => http::run(started, http, exposition, signals).await,
        None => stdio::run(started, &arguments.identity, signals).await,
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
    retention: &RetentionArguments,
    budget: &BudgetArguments,
) -> Result<Running, CommandError> {
    let webhook = budget.webhook()?;
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let service = Service::start(&deployment, &settings).await?;
    let mut maintenance = Maintenance::of(&deployment, audit, retention)?;
    maintenance.alerts = Some(Alerts::start(service.calls(), webhook));
    Ok(Running { deployment, service, maintenance })
}

/// How long all of the end may take.
const LONGEST_END: Duration = Duration::from_secs(28);

/// Waits for the end of `drained`, or for a signal more than was already `asked` with.
async fn end(drained: impl Future<Output = bool>, mut asked: bool, mut signals: Signals) -> ExitCode {
    let mut drained = std::pin::pin!(drained);
    let mut too_long = std::pin::pin!(tokio::time::sleep(LONGEST_END));
    loop {
        tokio::select! {
            all_kept = &mut drained => return if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE },
            () = &mut too_long => {
                tracing::error!("the server could not end in order");
                return ExitCode::FAILURE;
            }
            signal = signals.next() => {
                // A client that closes stdin often sends one signal more.
                if asked {
                    tracing::warn!(signal = signal.name, "ended at once");
                    return signal.exit_code();
                }
                asked = true;
            }
        }
    }
}
