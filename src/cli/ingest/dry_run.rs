use std::process::ExitCode;

use super::{DRAIN, IngestArguments, Ran, exit_code, tell, until_stopped};
use crate::cli::CommandError;
use crate::cli::signals::Signals;
use crate::configuration::{
    Database, DatabaseArguments, DatabaseSettings, EmbedderChoice, IdentityArguments, IdentitySettings,
};
use crate::embedded;
use crate::identity::Caller;
use crate::ingest::{Options, Target};
use crate::startup::{Deployment, Service};

/// Reads everything and tells what of it is new, changed and known. Where no database was ever made
/// all of it is new.
pub(super) async fn run(
    database: &DatabaseArguments,
    arguments: &IngestArguments,
    options: &Options,
    signals: &mut Signals,
) -> Result<ExitCode, CommandError> {
    let opened = open(database, &arguments.identity).await?;
    let target = match &opened {
        Some((_, service, caller)) => Target::Look { calls: service.calls().clone(), caller: caller.clone() },
        None => Target::Nowhere,
    };
    let (report, stopped) = match until_stopped(options, target, signals).await {
        Ran::Ended(report, stopped) => (report, stopped),
        Ran::BrokenOff(signal) => return Ok(signal.exit_code()),
    };
    if let Some((_, service, _)) = &opened {
        service.drain(DRAIN).await;
    }
    tell(&report, arguments.json)?;
    Ok(exit_code(&report, stopped))
}

/// The tools on the database, with nothing that embeds or works in the background; `None` where no database was ever made.
async fn open(
    database: &DatabaseArguments,
    identity: &IdentityArguments,
) -> Result<Option<(Deployment, Service, Caller)>, CommandError> {
    let (mut settings, identity) = (DatabaseSettings::resolve(database)?, IdentitySettings::resolve(identity)?);
    if let Database::Embedded { .. } = settings.database
        && !embedded::has_cluster(&settings.data_dir()?)
    {
        return Ok(None);
    }
    settings.embedding.choice = EmbedderChoice::None { is_wanted: true };
    let deployment = Deployment::open(&settings).await?;
    let service = Service::prepare(&deployment, &settings).await?;
    let caller = service.caller(&deployment, &identity).await?;
    Ok(Some((deployment, service, caller)))
}
