mod dry_run;
mod waiting;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use self::waiting::Waiting;
use super::serve::Maintenance;
use super::signals::{Signal, Signals};
use super::{CommandError, Style};
use crate::configuration::{
    AuditArguments, DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings, RetentionArguments,
};
use crate::db::admin;
use crate::identity::TenantId;
use crate::ingest::{self, Embedding, Format, Options, Report, Target};
use crate::maintenance;
use crate::startup::{Deployment, Service};
use crate::telemetry;

/// How long calls under way may take once everything was read.
const DRAIN: Duration = Duration::from_secs(15);

/// Chunks of one step of a merge.
const MERGED_AT_ONCE: i64 = 4_096;

/// What to store, and how.
#[derive(Debug, Args)]
pub(super) struct IngestArguments {
    /// Files, folders, patterns ('notes/**/*.md'), or - for the standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// What the files are written in, where their names do not tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Source of the one file, or of the standard input; a file's path otherwise
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Before each path to make its source, for example `https://wiki.example/`
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    source_prefix: String,
    /// Added to the metadata of each document; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Language of documents that say none, as an ISO 639 code; detected otherwise
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Also replace what a source of a JSON line said before; for files that is the rule
    #[arg(long, conflicts_with = "no_replace")]
    replace: bool,
    /// Store what changed as another document beside the one that was stored before
    #[arg(long)]
    no_replace: bool,
    /// Go on after a failure; the exit code is 1 all the same
    #[arg(long)]
    continue_on_error: bool,
    /// Read everything and say what of it is new, changed and known, and from where on the quota has no room, but store nothing
    #[arg(long)]
    dry_run: bool,
    /// Read what .gitignore, .ignore and .bailiwickignore keep out, and hidden files
    #[arg(long)]
    no_ignore: bool,
    /// Files that are read at the same time; as many as there are processors if absent
    #[arg(long, value_name = "N")]
    readers: Option<usize>,
    /// How long reading one HTML, PDF or Word file may take
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    file_timeout: u64,
    /// Wait until all that is stored is searchable by meaning too; the exit code is 1 if it is not
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long --wait waits at most, once all is stored
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600, requires = "wait")]
    wait_timeout: u64,
    /// The summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: IdentityArguments,
}

/// Stores them. Exit code 1 if anything failed; 128 and a signal's number if one stopped it.
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    retention: &RetentionArguments,
    arguments: &IngestArguments,
) -> Result<ExitCode, CommandError> {
    let options = options(arguments)?;
    let mut signals = Signals::listen()?;
    if arguments.dry_run {
        return dry_run::run(database, arguments, &options, &mut signals).await;
    }
    let (deployment, service, caller) = open(database, &arguments.identity).await?;
    // Fresh postings are merged while they come, as `serve` does; without an administrator's connection a server does it.
    let upkeep = match deployment.admin().is_ok() {
        true => Some(Maintenance::of(&deployment, audit, retention)?),
        false => None,
    };
    let waiting = match arguments.wait {
        true => Some(Waiting::begin(&service, &caller, Duration::from_secs(arguments.wait_timeout)).await?),
        false => None,
    };
    let target = Target::Tenant {
        calls: service.calls().clone(),
        caller: caller.clone(),
        embeddings: service.embeddings().clone(),
    };
    let (mut report, mut stopped) = match until_stopped(&options, target, &mut signals).await {
        Ran::Ended(report, stopped) => (report, stopped),
        Ran::BrokenOff(signal) => return Ok(signal.exit_code()),
    };
    if let (Some(waiting), None) = (&waiting, &stopped) {
        tokio::select! {
            embedding = waiting.end(&service, &caller) => report.embedding = Some(embedding?),
            signal = signals.next() => stopped = Some(signal),
        }
    }
    let is_ours = upkeep.is_some();
    drop(upkeep);
    service.drain(DRAIN).await;
    if is_ours && let Err(error) = merge(&deployment, caller.tenant_id).await {
        tracing::warn!(%error, "the word index could not be merged; `bailiwick maintain` or a server does it");
    }
    tell(&report, arguments.json)?;
    Ok(exit_code(&report, stopped))
}

/// What a run came to.
enum Ran {
    /// Its report, and the signal that stopped it, if one did.
    Ended(Report, Option<Signal>),
    /// A second signal: nobody waits for what is under way.
    BrokenOff(Signal),
}

/// Runs until all is read and stored, or until a signal and what was under way then.
async fn until_stopped(options: &Options, target: Target, signals: &mut Signals) -> Ran {
    let stop = CancellationToken::new();
    let mut running = std::pin::pin!(ingest::run(options, target, stop.clone()));
    let mut stopped = None;
    loop {
        tokio::select! {
            report = &mut running => return Ran::Ended(report, stopped),
            signal = signals.next() => {
                if stopped.is_some() {
                    return Ran::BrokenOff(signal);
                }
                telemetry::announce("stopping: what is under way is stored; run the same again to go on");
                stop.cancel();
                stopped = Some(signal);
            }
        }
    }
}

fn exit_code(report: &Report, stopped: Option<Signal>) -> ExitCode {
    match stopped {
        Some(signal) => signal.exit_code(),
        None if report.summary.failed > 0 => ExitCode::FAILURE,
        None if report.embedding.as_ref().is_some_and(|embedding| embedding.pending + embedding.failed > 0) => {
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Merges what is left, so that the first search is as fast as the next.
async fn merge(deployment: &Deployment, tenant_id: TenantId) -> Result<(), CommandError> {
    let client = admin::connect(deployment.admin()?).await?;
    while maintenance::merge_step(&client, tenant_id, MERGED_AT_ONCE).await? > 0 {}
    Ok(())
}

async fn open(
    database: &DatabaseArguments,
    identity: &IdentityArguments,
) -> Result<(Deployment, Service, crate::identity::Caller), CommandError> {
    let (settings, identity) = (DatabaseSettings::resolve(database)?, IdentitySettings::resolve(identity)?);
    let deployment = Deployment::open(&settings).await?;
    let service = Service::start(&deployment, &settings).await?;
    let caller = service.caller(&deployment, &identity).await?;
    if let Some((embedder, _)) = service.embeddings().embedder() {
        // Its tokenizer cuts the passages. Should it not come, they are cut by estimate; the log says why.
        let _ = embedder.ready().await;
    }
    Ok((deployment, service, caller))
}

fn options(arguments: &IngestArguments) -> Result<Options, CommandError> {
    let mut metadata = Map::new();
    for pair in &arguments.metadata {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("--metadata is {pair:?}; give KEY=VALUE, for example team=hr"))?;
        metadata.insert(key.to_owned(), Value::String(value.to_owned()));
    }
    if let Some(code) = &arguments.language {
        crate::documents::language::Language::from_code(code).map_err(|unknown| format!("--language: {unknown}"))?;
    }
    if arguments.source.is_some() && arguments.paths.len() > 1 {
        return Err("--source names one file or the standard input; with several paths use --source-prefix".into());
    }
    let is_folder = |path: &String| path != "-" && std::path::Path::new(path).is_dir();
    if arguments.source.is_some() && arguments.paths.iter().any(is_folder) {
        return Err("--source names one file or the standard input; for a folder use --source-prefix".into());
    }
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    Ok(Options {
        paths: arguments.paths.clone(),
        format: arguments.format,
        respects_ignores: !arguments.no_ignore,
        readers: arguments.readers.unwrap_or(processors),
        file_timeout: Duration::from_secs(arguments.file_timeout),
        continue_on_error: arguments.continue_on_error,
        metadata,
        language: arguments.language.clone(),
        source: arguments.source.clone(),
        source_prefix: arguments.source_prefix.clone(),
        replace: match (arguments.replace, arguments.no_replace) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
    })
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn tell(report: &Report, as_json: bool) -> Result<(), CommandError> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    let (summary, style) = (&report.summary, Style::of_stdout());
    let (stored, replaced) = if summary.dry_run { ("to store", "to replace") } else { ("stored", "replaced") };
    println!(
        "{} {stored}, {} {replaced}, {} unchanged from {} files in {:.1} s ({} passages, {} bytes read)",
        summary.stored,
        summary.replaced,
        summary.unchanged,
        summary.files,
        summary.seconds,
        summary.chunks,
        summary.bytes
    );
    if summary.passed_over > 0 {
        println!("{}", style.dim(&format!("{} files of other formats were passed over", summary.passed_over)));
    }
    if summary.superseded > 0 {
        let again = "lines were passed over, for their source came again further on";
        println!("{}", style.dim(&format!("{} {again}", summary.superseded)));
    }
    if summary.over_quota > 0 {
        let (count, first) = (summary.over_quota, summary.first_over_quota.as_deref().unwrap_or_default());
        let quota = match summary.dry_run {
            true => format!("{count} documents would not fit into the quota, from {} on", ingest::printable(first)),
            false => format!("{count} documents did not fit into the quota; all others went in"),
        };
        println!("{}", style.bad(&quota));
    }
    // A dry run names the first only of those that would not fit.
    let named = if summary.dry_run { summary.failed - summary.over_quota } else { summary.failed };
    if named > 0 {
        println!("{}", style.bad(&format!("{named} failed; their names and reasons are above")));
    }
    if let Some(Embedding { pending, failed, error, seconds }) = &report.embedding {
        match (pending, failed) {
            (0, 0) => println!("all of it is embedded ({seconds:.1} s more)"),
            _ => {
                let why = error.as_ref().map(|error| format!("; the last error was: {error}")).unwrap_or_default();
                let told = format!("{pending} documents still wait for their embedding, {failed} were given up{why}");
                println!("{}", style.bad(&told));
            }
        }
    }
    if !summary.complete {
        println!(
            "{}",
            style.bad("not complete: run the same again to go on (--continue-on-error goes on after failures)")
        );
    }
    Ok(())
}
