mod print;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use self::print::{print, report};
use super::signals::{Signal, Signals};
use super::{CommandError, backup as backing, progress};
use crate::audit::{self, Expectations};
use crate::backup::{self, BackupError, BackupFile, Connection, Made, Restore, Restored, Step, Verification};
use crate::configuration::{AuditArguments, DatabaseArguments, DatabaseSettings};
use crate::startup::Deployment;
use crate::telemetry;

/// At so many tables and indexes at a time most servers are busy.
const MOST_JOBS: usize = 8;

/// What to restore, and where.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// What `bailiwick backup` wrote
    file: PathBuf,
    /// Name of the database that it becomes, on the same server; that of the administrator's URL if absent
    #[arg(long, value_name = "DATABASE")]
    into: Option<String>,
    /// Let it take the place of a database that holds data, once all of it is restored and verified
    #[arg(long)]
    replace: bool,
    /// Tables and indexes at a time; as many as this machine has processors, at most 8, if absent
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Put it in place although PostgreSQL prints views, constraints, defaults, indexes, policies, triggers' conditions or bodies of SQL
    /// functions in other words than in the backup, as it does with some when it has read its own; each is named
    #[arg(long)]
    accept_definitions: bool,
    /// Only this tenant (slug or id), beside all that is there
    #[arg(long, value_name = "TENANT", conflicts_with_all = ["replace", "accept_definitions"])]
    tenant: Option<String>,
    /// The tenant's short name here; as in the backup if absent
    #[arg(long = "as", value_name = "SLUG", requires = "tenant")]
    slug: Option<String>,
    /// Only check the file, without a database
    #[arg(long, conflicts_with_all = ["into", "replace", "accept_definitions", "tenant", "jobs"])]
    check: bool,
    /// Only compare the database with the backup, and change nothing
    #[arg(long, conflicts_with_all = ["check", "replace", "accept_definitions", "tenant", "jobs"])]
    compare: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Restores, or checks or compares; fails if what came out is not what went in, or something else is wrong with it.
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    arguments: &RestoreArguments,
) -> Result<ExitCode, CommandError> {
    let file = BackupFile::open(&arguments.file)?;
    let bar = progress::bytes();
    let tell = |step: Step| backing::show(&bar, step);
    if arguments.check {
        let checked = file.check(&tell).await;
        bar.finish_and_clear();
        checked?;
        let made = Made { bytes: std::fs::metadata(&arguments.file)?.len(), manifest: file.manifest().clone() };
        let told = json!({ "backup": backing::told(&arguments.file, &made) });
        let summary = backing::summary(&arguments.file.display().to_string(), made.bytes, &made.manifest);
        print(&if arguments.json {
            serde_json::to_string_pretty(&told)?
        } else {
            format!("{summary}: as it was written")
        });
        return Ok(ExitCode::SUCCESS);
    }
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::attach(&settings).await?;
    let mut connection = Connection::find(deployment.admin()?).await?;
    if let Some(name) = &arguments.into {
        connection = connection.with_database(name);
    }
    let expectations = expectations(&file, &connection, audit, &deployment)?;
    if arguments.compare {
        let client = connection.client().await?;
        let compared = async {
            let mut verification = backup::verify(&client, file.manifest(), &expectations, &tell).await?;
            verification.comparisons.push(backup::verify_surroundings(&client, file.manifest()).await?);
            Ok::<_, BackupError>(verification)
        };
        let compared = compared.await;
        bar.finish_and_clear();
        let verification = compared?;
        report(arguments, &json!({ "compared": connection.database() }), &verification, &[])?;
        return Ok(code(&verification, false));
    }
    let programs = backing::programs(&deployment, database);
    let passwords: Vec<_> =
        [deployment.app(), deployment.admin(), deployment.backup()].into_iter().flatten().cloned().collect();
    // Only one tenant's way leads through a file.
    let data_dir = match &arguments.tenant {
        Some(_) => settings.data_dir()?,
        None => settings.data_dir().unwrap_or_default(),
    };
    let request = Restore {
        connection: &connection,
        programs: &programs,
        backup: &file,
        replace: arguments.replace,
        jobs: jobs(arguments),
        accept_definitions: arguments.accept_definitions,
        // Over its own socket our own server asks nobody.
        passwords: (!deployment.is_embedded()).then_some(passwords.as_slice()),
        expectations: &expectations,
        data_dir: &data_dir,
    };
    let mut signals = Signals::listen()?;
    let mut signal: Option<Signal> = None;
    let stop = async { signal = Some(signals.next().await) };
    let outcome = match &arguments.tenant {
        Some(name) => {
            let restored = backup::restore_tenant(&request, name, arguments.slug.as_deref(), &tell, stop).await;
            bar.finish_and_clear();
            restored.and_then(|restored| print::tenant(arguments, &restored))
        }
        None => {
            let restored = backup::restore(&request, &tell, stop).await;
            bar.finish_and_clear();
            restored.and_then(|restored| whole(arguments, &file, &connection, audit, &deployment, restored))
        }
    };
    match (outcome, signal) {
        (Err(BackupError::BrokenOff), Some(signal)) => {
            telemetry::announce(&format!(
                "broken off by SIG{}: nothing was restored, and everything is as it was",
                signal.name
            ));
            Ok(signal.exit_code())
        }
        (outcome, _) => Ok(outcome?),
    }
}

fn jobs(arguments: &RestoreArguments) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_JOBS);
    arguments.jobs.map_or_else(processors, NonZeroUsize::get)
}

/// Heads that were kept of seals since the backup are lost with it; those before must be in it.
fn expectations(
    file: &BackupFile,
    connection: &Connection,
    audit: &AuditArguments,
    deployment: &Deployment,
) -> Result<Expectations, CommandError> {
    let last = file.manifest().audit.as_ref().map_or(0, |audit| audit.seal_no);
    let mut heads = audit::kept_heads(connection.database(), audit, deployment.data_dir())?;
    heads.retain(|head| head.seal_no.is_some_and(|seal_no| seal_no <= last));
    Ok(Expectations { trusted: audit::trusted_keys(audit, deployment.data_dir(), &[])?, heads })
}

fn whole(
    arguments: &RestoreArguments,
    file: &BackupFile,
    connection: &Connection,
    audit: &AuditArguments,
    deployment: &Deployment,
    restored: Restored,
) -> Result<ExitCode, BackupError> {
    let Restored { is_in_place, has_replaced, may_lack_seals, verification, mut notes } = restored;
    if is_in_place {
        let last = file.manifest().audit.as_ref().map(|audit| audit.seal_no);
        match audit::set_heads_aside(connection.database(), last, audit, deployment.data_dir()) {
            Ok(Some(copy)) => notes.push(format!(
                "seals that were made since the backup are not in it; their heads are in {} and no longer asked for. Restart servers that have sealed since",
                copy.display()
            )),
            Ok(None) => {}
            Err(error) => notes.push(format!("heads of seals that are not in the backup could not be taken aside, and nothing is sealed until they are: {error}")),
        }
        // Those of our own server have their heads in the file that was just looked at.
        if may_lack_seals && !deployment.is_embedded() {
            let which = last.map_or_else(|| "all of them".to_owned(), |last| format!("those behind seal {last}"));
            notes.push(format!(
                "servers and timers on other machines that have sealed this database since the backup keep heads of seals that it has not, and seal nothing \
                 until {which} are out of their files of heads (--audit-heads, or audit/heads.jsonl in the data folder): keep them elsewhere, then restart \
                 those servers"
            ));
        }
    } else {
        let only_words = !verification.is_equal() && verification.is_fit(true);
        notes.push("it was not put in place, and nothing was changed".to_owned());
        if only_words {
            notes.push("only the words of definitions are others: if they mean the same, --accept-definitions puts it in place".to_owned());
        }
    }
    let told = json!({ "database": connection.database(), "in_place": is_in_place, "replaced": has_replaced, "made_at": file.manifest().made_at });
    report(arguments, &told, &verification, &notes)?;
    Ok(if is_in_place { code(&verification, arguments.accept_definitions) } else { ExitCode::FAILURE })
}

fn code(verification: &Verification, accept_definitions: bool) -> ExitCode {
    if verification.is_sound(accept_definitions) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
