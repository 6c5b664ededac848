use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{CommandError, Style};
use crate::audit::{
    self, ArchiveReport, Expectations, Findings, Hash, Keeping, KnownHead, Month, TrustedKeys, Verification,
};
use crate::configuration::{AuditArguments, DatabaseArguments, DatabaseSettings};
use crate::db::admin;
use crate::startup::Deployment;

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Compare every row with its seal and every seal with the one before it; exit code 1 if something was changed
    Verify {
        #[command(flatten)]
        expected: ExpectedArguments,
        /// Check these archives too, and that their seals are in the chain
        #[arg(long, value_name = "FILE")]
        archive: Vec<PathBuf>,
        /// Check the archives alone, without a database
        #[arg(long, requires = "archive", conflicts_with = "head")]
        offline: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a month's rows with their seals to a new file
    Export {
        /// The month, UTC
        #[arg(long, value_name = "YYYY-MM")]
        month: Month,
        /// The file
        file: PathBuf,
    },
    /// Drop the months before that one, all of whose rows must be in the archives given
    Retire {
        /// The first month to keep, UTC
        #[arg(long, value_name = "YYYY-MM")]
        before: Month,
        /// What `audit export` wrote, a month each
        #[arg(long, value_name = "FILE")]
        archive: Vec<PathBuf>,
        #[command(flatten)]
        expected: ExpectedArguments,
    },
}

/// What is known from outside of the database.
#[derive(Debug, Args)]
pub(super) struct ExpectedArguments {
    /// A head that you kept, which must be in the chain; as often as you like
    #[arg(long, value_name = "HEX")]
    head: Vec<Hash>,
    /// A public key to believe (PEM) beside the configured one; as often as you like
    #[arg(long, value_name = "FILE")]
    public_key: Vec<PathBuf>,
}

/// Runs an audit command as the database's administrator.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    command: &AuditCommand,
) -> Result<ExitCode, CommandError> {
    if let AuditCommand::Verify { expected, archive, offline: true, json, .. } = command {
        let trusted = audit::trusted_keys(audit, None, &expected.public_key)?;
        return report(None, &checked(archive, &trusted)?, *json);
    }
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    let known = audit::known_heads(&client, audit, deployment.data_dir()).await?;
    let expectations = |expected: &ExpectedArguments| -> Result<Expectations, CommandError> {
        let given = expected.head.iter();
        let given = given.map(|head| KnownHead { seal_no: None, head: *head, source: "--head".into() });
        let heads = known.iter().cloned().chain(given).collect();
        Ok(Expectations { trusted: audit::trusted_keys(audit, deployment.data_dir(), &expected.public_key)?, heads })
    };
    match command {
        AuditCommand::Verify { expected, archive, json, .. } => {
            let mut expectations = expectations(expected)?;
            let mut archives = checked(archive, &expectations.trusted)?;
            expectations.heads.extend(archives.iter_mut().flat_map(|archive| std::mem::take(&mut archive.heads)));
            report(Some(&audit::verify(&client, &expectations).await?), &archives, *json)
        }
        AuditCommand::Export { month, file } => {
            let counts = audit::export(&client, *month, file).await?;
            println!("{}: {} rows of {month} and {} seals", file.display(), counts.rows, counts.seals);
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Retire { before, archive, expected } => {
            let keeping = Keeping::open(audit, deployment.data_dir())?;
            let retired = audit::retire(&client, *before, archive, &expectations(expected)?, &keeping).await?;
            let (rows, partitions) = (retired.rows, retired.partitions.join(", "));
            println!("retired {rows} rows ({partitions}); seal {} says so", retired.seal_no);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn checked(archives: &[PathBuf], trusted: &TrustedKeys) -> Result<Vec<ArchiveReport>, CommandError> {
    archives.iter().map(|path| Ok(audit::check_archive(path, trusted)?)).collect()
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn report(trail: Option<&Verification>, archives: &[ArchiveReport], json: bool) -> Result<ExitCode, CommandError> {
    let is_sound =
        trail.is_none_or(Verification::is_sound) && archives.iter().all(|archive| archive.findings.fault_count == 0);
    let code = if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if json {
        let report = json!({ "sound": is_sound, "trail": trail, "archives": archives });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(code);
    }
    for archive in archives {
        let counts = archive.counts;
        let signatures = told(archive.signatures_checked);
        let text = format!(
            "{}: {} rows of {} and {} seals, {signatures}",
            archive.file, counts.rows, archive.month, counts.seals
        );
        print_findings(&text, &archive.findings);
    }
    if let Some(trail) = trail {
        print_findings(
            &format!("audit trail: {} rows under {} seals", trail.rows_checked, trail.seals_checked),
            &trail.findings,
        );
        let until = trail
            .sealed_until
            .map_or_else(|| "nothing is sealed yet".to_owned(), |until| format!("sealed until {until}"));
        let signatures = told(trail.signatures_checked);
        println!(
            "{until}; {} rows not sealed yet; {signatures}; {} heads from outside",
            trail.unsealed_rows, trail.heads_checked
        );
        if let Some(from) = trail.retained_from {
            println!("rows of calls from before {from} were retired");
        }
    }
    Ok(code)
}

fn told(signatures_checked: bool) -> &'static str {
    if signatures_checked { "signatures checked" } else { "signatures not checked (no public key)" }
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_findings(text: &str, findings: &Findings) {
    let style = Style::of_stdout();
    if findings.fault_count == 0 {
        println!("{text}: {}", style.good("as sealed"));
        return;
    }
    println!("{text}: {}", style.bad(&format!("{} faults", findings.fault_count)));
    for fault in &findings.faults {
        println!("  {fault}");
    }
    // It may stand behind the faults that are listed.
    let listed = |row| findings.faults.iter().any(|fault| fault.row.as_ref() == Some(row));
    if let Some(row) = findings.first_bad_row.as_ref().filter(|row| !listed(row)) {
        println!("  … the first row that is not as it should be has the id {} ({})", row.id, row.timestamp);
    }
    let unlisted = findings.fault_count - findings.faults.len() as u64;
    if unlisted > 0 {
        println!("  and {unlisted} more");
    }
}
