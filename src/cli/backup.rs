use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::signals::Signals;
use super::{CommandError, progress};
use crate::backup::{self, Connection, Destination, Made, Making, Manifest, Programs, Step};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::startup::Deployment;
use crate::telemetry;

/// Where to, and how.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The file; - for stdout
    file: PathBuf,
    /// Replace a file of that name, once the new one is whole
    #[arg(long)]
    replace: bool,
    /// How to compress, as pg_dump --compress takes it: none, gzip:6, zstd:3 where that pg_dump was built with it
    #[arg(long, value_name = "METHOD", default_value = "gzip:1")]
    compress: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Where PostgreSQL's programs are: our own server's, those named, or else on PATH.
pub(super) fn programs(deployment: &Deployment, database: &DatabaseArguments) -> Programs {
    Programs { folder: deployment.bin_dir().map(std::path::Path::to_owned).or_else(|| database.pg_bin.clone()) }
}

/// Backs the database up.
pub(super) async fn run(database: &DatabaseArguments, arguments: &BackupArguments) -> Result<ExitCode, CommandError> {
    let to_stdout = arguments.file.as_os_str() == "-";
    if to_stdout && arguments.json {
        return Err("--json prints to stdout, where the backup itself would go: name a file".into());
    }
    if to_stdout && std::io::stdout().is_terminal() {
        return Err("a backup is nothing to read: name a file, or send stdout to one".into());
    }
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::attach(&settings).await?;
    let destination = match to_stdout {
        true => Destination::Stdout,
        false => Destination::File { path: arguments.file.clone(), replace: arguments.replace },
    };
    let making = Making {
        connection: Connection::find(deployment.backup()?).await?,
        programs: programs(&deployment, database),
        destination,
        compression: arguments.compress.clone(),
    };
    let mut signals = Signals::listen()?;
    let bar = progress::bytes();
    let tell = |step: Step| show(&bar, step);
    let made = tokio::select! {
        made = backup::make(&making, &tell) => made,
        // Dropped, it takes the file and pg_dump with it.
        signal = signals.next() => {
            bar.finish_and_clear();
            telemetry::announce(&format!("broken off by SIG{}: there is no backup", signal.name));
            return Ok(signal.exit_code());
        }
    };
    bar.finish_and_clear();
    let made = made?;
    match (arguments.json, to_stdout) {
        (true, _) => print(&serde_json::to_string_pretty(&json!({ "backup": told(&arguments.file, &made) }))?),
        (false, true) => telemetry::announce(&summary("stdout", made.bytes, &made.manifest)),
        (false, false) => print(&summary(&arguments.file.display().to_string(), made.bytes, &made.manifest)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a step looks like on a bar.
pub(super) fn show(bar: &ProgressBar, step: Step) {
    let at = |position: u64, of: u64, message: String| {
        bar.set_length(of.max(position));
        bar.set_position(position);
        bar.set_message(message);
    };
    match step {
        Step::Checking { bytes, of } => at(bytes, of, "checksum".to_owned()),
        Step::Dumping { bytes, of, table } => at(bytes, of, table),
        Step::Filling { items, of, item } => at(items, of, item),
        Step::Transferring { documents, of } => at(documents.unsigned_abs(), of.unsigned_abs(), "documents".to_owned()),
        // Beside the dump, whose bar it is.
        Step::Summing { .. } => {}
        Step::Keeping => bar.set_message("written to the disk"),
        Step::MakingRoles => bar.set_message("roles are made"),
        Step::Analysing => bar.set_message("statistics are made"),
        Step::Verifying { what } => bar.set_message(format!("{what}: compared")),
        Step::Placing => bar.set_message("put in its place"),
    }
}

/// A backup in a sentence.
pub(super) fn summary(file: &str, bytes: u64, manifest: &Manifest) -> String {
    let rows: i64 = manifest.tables.values().map(|table| table.rows).sum();
    format!(
        "{file}: {} MiB, {rows} rows of {} tables and {} tenants as of {}; SHA-256 of the dump {}",
        bytes.div_ceil(1 << 20),
        manifest.tables.len(),
        manifest.tenants.len(),
        manifest.made_at,
        manifest.dump.sha256
    )
}

/// A backup for a program: all but what only a restore needs.
pub(super) fn told(file: &std::path::Path, made: &Made) -> Value {
    let manifest = &made.manifest;
    let tables: serde_json::Map<String, Value> =
        manifest.tables.iter().map(|(name, table)| (name.clone(), table.rows.into())).collect();
    json!({
        "file": file, "bytes": made.bytes, "made_at": manifest.made_at, "dump": manifest.dump, "program": manifest.program,
        "schema_version": manifest.schema_version, "server": manifest.server, "audit": manifest.audit, "tenants": manifest.tenants,
        "table_rows": tables, "schema_objects": manifest.objects.len(),
    })
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print(text: &str) {
    println!("{text}");
}
