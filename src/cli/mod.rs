//! The command line.

mod audit;
mod backup;
mod completions;
mod connect;
mod doctor;
mod embed;
mod ingest;
mod key;
mod maintain;
mod man;
mod manifest;
mod migrate;
mod output;
mod prices;
pub(crate) mod progress;
mod report;
mod restore;
mod search;
mod serve;
mod signals;
mod tenant;
mod variables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::configuration::{AuditArguments, DatabaseArguments, LogFormat, RetentionArguments, TelemetryArguments};
use crate::demo::DemoArguments;
use crate::embedded::{self, Options, Progress};
use crate::telemetry::{self, Telemetry};

pub use output::Style;

/// Why a command failed, for the person at the terminal.
type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// One safe, fast and accountable door to an organisation's documents, for AI agents.
///
/// Without a command it serves MCP over stdio, as its clients expect: `bailiwick` is `bailiwick serve`.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    audit: AuditArguments,
    #[command(flatten)]
    retention: RetentionArguments,
    #[command(flatten)]
    telemetry: TelemetryArguments,
    #[command(flatten)]
    serve: serve::ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve MCP over stdio (the default), or over HTTP for all tenants
    #[command(
        after_help = "Examples:\n  BAILIWICK_TENANT=demo bailiwick serve\n  bailiwick serve --http 127.0.0.1:8080"
    )]
    Serve(Box<serve::ServeArguments>),
    /// Show the main job: two tenants, real MCP calls, a budget report and the audit trail
    #[command(after_help = "Examples:\n  bailiwick demo\n  bailiwick demo --json\n  bailiwick demo --keep")]
    Demo(DemoArguments),
    /// Store files and folders in bulk: text, Markdown, HTML, PDF, Word, JSON lines. Run again it goes on where it stopped
    #[command(
        after_help = "Examples:\n  bailiwick ingest handbook/ policy.pdf\n  bailiwick ingest --tenant acme --metadata team=hr 'notes/**/*.md'\n  bailiwick ingest --continue-on-error --json export.jsonl\n  pandoc report.odt -t markdown | bailiwick ingest --format markdown --source report.odt -"
    )]
    Ingest(Box<ingest::IngestArguments>),
    /// Search documents from the shell, by words and, where there is an embedder, by meaning
    #[command(
        after_help = "Examples:\n  bailiwick search 'How many days of leave do I have?'\n  bailiwick search --limit 3 --explain '\"annual leave\" -draft'\n  bailiwick search --filter-metadata department=hr --json leave"
    )]
    Search(Box<search::SearchArguments>),
    /// Move the schema to another version, or say where it stands
    #[command(
        after_help = "Examples:\n  bailiwick migrate up\n  bailiwick migrate status --json\n  bailiwick migrate down 1\n  bailiwick migrate --print-roles"
    )]
    Migrate(migrate::MigrateArguments),
    /// Make, change, suspend and delete tenants, see what they hold, take their data elsewhere
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick tenant create acme --name 'Acme Ltd' --monthly-budget-usd 100\n  bailiwick tenant list --json\n  bailiwick tenant export acme acme.jsonl.gz\n  bailiwick tenant delete acme"
    )]
    Tenant(tenant::TenantCommand),
    /// List what models cost, and add prices; a price is never edited
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick prices list --provider openai\n  bailiwick prices import --dry-run prices.csv\n  bailiwick prices set openai gpt-4o --input 2.5 --cached-input 1.25 --output 10 --source 'OpenAI: API pricing page'"
    )]
    Prices(prices::PricesCommand),
    /// Make, list and revoke the API keys of HTTP callers
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick key create --tenant acme --user ada@acme.example\n  bailiwick key list --tenant acme\n  bailiwick key revoke 7k3m9q2v"
    )]
    Key(key::KeyCommand),
    /// Look after the search indexes (merge, clear away what was deleted, make vector indexes), months and deleted tenants (`serve` does it by itself)
    #[command(
        after_help = "Examples:\n  bailiwick maintain\n  bailiwick maintain --tenant acme --json\n  bailiwick maintain --rebuild"
    )]
    Maintain(maintain::MaintainArguments),
    /// Embed what has no embedding, or move all documents to another model
    #[command(
        after_help = "Examples:\n  bailiwick embed\n  bailiwick embed --retry-failed\n  BAILIWICK_EMBEDDINGS_URL=https://api.openai.com/v1 BAILIWICK_EMBEDDINGS_MODEL=text-embedding-3-small BAILIWICK_EMBEDDINGS_API_KEY=… bailiwick embed"
    )]
    Embed(embed::EmbedArguments),
    /// Report what a tenant's rows tell: its costs, its audit trail
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick report costs --tenant acme --by day,model\n  bailiwick report costs --all-tenants --csv > costs.csv\n  bailiwick report audit --tenant acme --outcome error\n  bailiwick report audit --tenant acme --all --csv > trail.csv"
    )]
    Report(report::ReportCommand),
    /// Write a backup of the whole database to a file: a dump with a manifest of what was in it
    #[command(
        after_help = "Examples:\n  bailiwick backup bailiwick-2026-08-01.backup\n  bailiwick backup --replace --json nightly.backup\n  bailiwick backup - | ssh store.example 'cat > bailiwick.backup'"
    )]
    Backup(backup::BackupArguments),
    /// Restore a backup, or one tenant out of it, and compare what came out with what went in
    #[command(
        after_help = "Examples:\n  bailiwick restore bailiwick.backup\n  bailiwick restore --into staging bailiwick.backup\n  bailiwick restore --replace --jobs 4 bailiwick.backup\n  bailiwick restore --tenant acme --as acme-yesterday bailiwick.backup\n  bailiwick restore --check bailiwick.backup"
    )]
    Restore(restore::RestoreArguments),
    /// Find what is wrong with the deployment: isolation, versions, indexes, partitions, embedder, archiving, disk; exit code 1 if something is, 2 if it could not look
    #[command(
        after_help = "Examples:\n  bailiwick doctor\n  bailiwick doctor --quick --json\n  bailiwick doctor --tenant acme\n  bailiwick doctor --pitr /backup/bailiwick"
    )]
    Doctor(doctor::DoctorArguments),
    /// Check the audit trail against its seals, archive a month of it, drop what was archived
    #[command(
        subcommand,
        after_help = "Examples:\n  bailiwick audit verify\n  bailiwick audit export --month 2026-08 2026-08.jsonl\n  bailiwick audit retire --before 2026-09 --archive 2026-08.jsonl"
    )]
    Audit(audit::AuditCommand),
    /// Put this server into an MCP client's configuration, leaving all else in it as it is
    #[command(
        after_help = "Examples:\n  bailiwick connect claude-desktop\n  bailiwick connect vscode --project --tenant acme\n  bailiwick connect cursor --url https://mcp.example.com/mcp\n  bailiwick connect claude-code --remove"
    )]
    Connect(Box<connect::ConnectArguments>),
    /// Print mcp-manifest.json: the MCPB manifest of this program
    #[command(
        after_help = "Examples:\n  bailiwick manifest > mcp-manifest.json\n  bailiwick manifest --server-json > server.json"
    )]
    Manifest(manifest::ManifestArguments),
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  bailiwick completions bash > ~/.local/share/bash-completion/completions/bailiwick\n  bailiwick completions zsh > ~/.zfunc/_bailiwick"
    )]
    Completions(completions::CompletionsArguments),
    /// Print the manual page
    #[command(after_help = "Examples:\n  bailiwick man | man -l -\n  bailiwick man --dir ~/.local/share/man/man1")]
    Man(man::ManArguments),
    /// Takes texts out of files that are named on stdin (for `ingest`)
    #[command(hide = true)]
    Extraction,
    /// Stops the program's own PostgreSQL when nobody needs it any more
    #[command(hide = true)]
    EmbeddedKeeper { data_dir: PathBuf, grace_ms: u64 },
    /// Holds on to the program's own PostgreSQL until stdin ends (for tests)
    #[command(hide = true)]
    EmbeddedParticipant {
        data_dir: PathBuf,
        grace_ms: Option<u64>,
        /// Passes over a PostgreSQL of this machine
        #[arg(long)]
        not_local: bool,
    },
}

/// Reads the command line, runs the command, and tells a failure on stderr.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 128 and a signal's number where a signal ended it before it was done, or 13 (SIGPIPE) where
/// nobody reads its output any more.
pub async fn run() -> ExitCode {
    let mut definition = variables::command();
    let parsed = definition.try_get_matches_from_mut(std::env::args_os());
    let parsed =
        parsed.and_then(|matches| Cli::from_arg_matches(&matches).map_err(|wrong| wrong.format(&mut definition)));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(wrong) if wrong.use_stderr() && wants_objects() => {
            telemetry::give_up_untold(LogFormat::Json, &wrong.to_string());
            return ExitCode::from(2);
        }
        Err(wrong) => wrong.exit(),
    };
    let started = match Telemetry::start(&cli.telemetry) {
        Ok(started) => started,
        Err(problem) => {
            telemetry::give_up_untold(cli.telemetry.log_format, &problem);
            return ExitCode::from(2);
        }
    };
    // Some commands hold much while they wait.
    let code = match Box::pin(carry_out(cli)).await {
        Ok(code) => code,
        // Whoever read its output has enough.
        Err(error) if is_unread(error.as_ref()) => ExitCode::from(telemetry::UNREAD),
        Err(error) => {
            telemetry::give_up(&told(error.as_ref()));
            ExitCode::FAILURE
        }
    };
    started.end().await;
    code
}

/// Whether lines are to be objects, which is among what could not be read: by the last word on it, as clap takes it.
fn wants_objects() -> bool {
    let words: Vec<OsString> = std::env::args_os().collect();
    let told =
        words.iter().enumerate().rev().find_map(|(at, word)| match word.to_str()?.strip_prefix("--log-format")? {
            "" => words.get(at + 1).cloned(),
            value => value.strip_prefix('=').map(OsString::from),
        });
    told.or_else(|| std::env::var_os("BAILIWICK_LOG_FORMAT")).is_some_and(|format| format == "json")
}

async fn carry_out(cli: Cli) -> Result<ExitCode, CommandError> {
    let done = match cli.command {
        None => return serve::run(&cli.database, &cli.audit, &cli.retention, &cli.serve).await,
        Some(Command::Serve(arguments)) => {
            return serve::run(&cli.database, &cli.audit, &cli.retention, &arguments).await;
        }
        Some(Command::Demo(arguments)) => crate::demo::run(&cli.database, &arguments).await,
        Some(Command::Ingest(arguments)) => {
            return ingest::run(&cli.database, &cli.audit, &cli.retention, &arguments).await;
        }
        Some(Command::Search(arguments)) => return search::run(&cli.database, *arguments).await,
        Some(Command::Extraction) => crate::ingest::serve_extraction().map_err(Into::into),
        Some(Command::Migrate(arguments)) => migrate::run(&cli.database, &arguments).await,
        Some(Command::Tenant(command)) => tenant::run(&cli.database, &cli.retention, &command).await,
        Some(Command::Prices(command)) => prices::run(&cli.database, &command).await,
        Some(Command::Key(command)) => key::run(&cli.database, command).await,
        Some(Command::Maintain(arguments)) => {
            return maintain::run(&cli.database, &cli.audit, &cli.retention, &arguments).await;
        }
        Some(Command::Embed(arguments)) => return embed::run(&cli.database, &arguments).await,
        Some(Command::Report(command)) => report::run(&cli.database, &command).await,
        Some(Command::Backup(arguments)) => return backup::run(&cli.database, &arguments).await,
        Some(Command::Restore(arguments)) => return restore::run(&cli.database, &cli.audit, &arguments).await,
        Some(Command::Doctor(arguments)) => return doctor::run(&cli.database, &arguments).await,
        Some(Command::Audit(command)) => return audit::run(&cli.database, &cli.audit, &command).await,
        Some(Command::Connect(arguments)) => connect::run(&arguments),
        Some(Command::Manifest(arguments)) => manifest::run(&arguments),
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Man(arguments)) => man::run(&arguments),
        Some(Command::EmbeddedKeeper { data_dir, grace_ms }) => {
            embedded::run_keeper(&data_dir, Duration::from_millis(grace_ms)).await.map_err(Into::into)
        }
        Some(Command::EmbeddedParticipant { data_dir, grace_ms, not_local }) => {
            let mut options = Options::new(data_dir);
            options.pg_bin.clone_from(&cli.database.pg_bin);
            options.local = !not_local;
            options.keeper = std::env::current_exe().ok();
            options.progress = Progress::stderr();
            options.idle_grace = grace_ms.map_or(embedded::DEFAULT_IDLE_GRACE, Duration::from_millis);
            embedded::run_participant(options).await.map_err(Into::into)
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The command line's definition, for the tables of the documentation.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

fn is_unread(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn told(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<embedded::EmbeddedError>() {
        Some(error) => embedded::explain(error),
        None => error.to_string(),
    }
}
