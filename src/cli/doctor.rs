mod pitr;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::audit;
use crate::backup;
use crate::call::{self, Stranded};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::{self, DatabaseIdentity, admin};
use crate::diagnosis::{self, Finding, Severity, Surroundings};
use crate::maintenance::{self, IndexReport};
use crate::startup::{self, Deployment};

/// What to check.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Only this tenant's indexes and documents (slug)
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Leave out the comparison of indexes with documents, which reads every document
    #[arg(long)]
    quick: bool,
    /// What it takes to go back to a moment: write the configuration of continuous archiving and of recovery into this folder
    /// (print it without one), and say what is missing or wrong in the archiving of this database
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, conflicts_with_all = ["tenant", "quick"])]
    pitr: Option<Option<PathBuf>>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Examines the deployment and compares every tenant's index with its documents; fails if something is at fault.
pub(super) async fn run(database: &DatabaseArguments, arguments: &DoctorArguments) -> Result<ExitCode, CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    if let Some(folder) = &arguments.pitr {
        return pitr::run(&deployment, &client, folder.as_deref(), arguments.json).await;
    }
    let surroundings = Surroundings {
        folders: deployment.data_dir().map(std::path::Path::to_owned).into_iter().collect(),
        is_embedded: deployment.is_embedded(),
    };
    let mut findings = diagnosis::examine(&client, &surroundings).await?;
    let is_current = !findings.iter().any(|finding| finding.check == "migrations");
    let mut asking = Asking { client: &client, is_current, findings: Vec::new() };
    let overdue = asking.take("seals", audit::overdue_rows(&client).await)?.unwrap_or_default();
    let mut strays = asking.take("stray_rows", admin::stray_rows(&client).await)?.map(Vec::from).unwrap_or_default();
    strays.retain(|(_, rows)| *rows > 0);
    let mut failed = asking.take("embeddings", admin::failed_embeddings(&client).await)?.unwrap_or_default();
    failed.retain(|failed| arguments.tenant.as_ref().is_none_or(|slug| *slug == failed.tenant));
    let dimensions = asking.take("embedder", admin::embedding_dimensions(&client).await)?;
    let reports = indexes(&mut asking, arguments).await?;
    findings.extend(asking.findings);
    findings.extend(diagnosis::of_embedder(&settings, dimensions).await);
    findings.extend(failed.iter().map(|failed| Finding {
        check: "embeddings",
        severity: Severity::Fault,
        subject: failed.tenant.clone(),
        detail: format!(
            "{} documents could not be embedded ({}) and are found by words alone",
            failed.documents, failed.error
        ),
        remedy: "`bailiwick embed --retry-failed` tries them again".to_owned(),
    }));
    if let Some(replica) = &settings.replica {
        findings.extend(db::examine_replica(deployment.admin()?, replica).await?.map(unfit_replica));
    }
    if let Ok(identity) = DatabaseIdentity::of(&client).await {
        let spool = startup::spool::of_database(&settings, &identity)?;
        findings.extend(call::stranded(&spool).iter().map(|stranded| left_elsewhere(stranded, &spool)));
    }
    if let Ok(data_dir) = settings.data_dir() {
        findings.extend(backup::abandoned_folders(&data_dir).iter().map(|folder| left_in_plain(folder)));
    }
    findings.extend(unsealed(overdue));
    findings.extend(strays.iter().map(|(table, rows)| stray(table, *rows)));
    findings.extend(reports.iter().flat_map(|(slug, report)| of_index(slug, report)));
    findings.sort_by_key(|finding| finding.severity);
    let is_sound = is_sound(&findings);
    if arguments.json {
        let tenants: Vec<_> = reports.iter().map(|(slug, report)| json!({ "slug": slug, "index": report })).collect();
        let told = json!({
            "sound": is_sound, "findings": findings, "tenants": tenants, "unsealed_calls": overdue, "failed_embeddings": failed,
            "stray_rows": strays.iter().copied().collect::<BTreeMap<_, _>>(),
        });
        print(&serde_json::to_string_pretty(&told)?);
    } else {
        tell(&findings, &reports);
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether nothing is at fault.
fn is_sound(findings: &[Finding]) -> bool {
    !findings.iter().any(|finding| finding.severity == Severity::Fault)
}

/// What is asked of a schema that may not be this program's: of another one part may still be told, and the rest is left out.
struct Asking<'a> {
    client: &'a Client,
    is_current: bool,
    findings: Vec<Finding>,
}

impl Asking<'_> {
    fn take<T, E>(&mut self, check: &'static str, asked: Result<T, E>) -> Result<Option<T>, CommandError>
    where
        E: Display + Into<CommandError>,
    {
        match asked {
            Ok(told) => Ok(Some(told)),
            Err(error) if !self.is_current && !self.client.is_closed() => {
                self.findings.push(Finding {
                    check,
                    severity: Severity::Note,
                    subject: "doctor".to_owned(),
                    detail: format!("could not look: {error}"),
                    remedy: "bring the schema up to date first (`bailiwick migrate up`)".to_owned(),
                });
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn indexes(
    asking: &mut Asking<'_>,
    arguments: &DoctorArguments,
) -> Result<Vec<(String, IndexReport)>, CommandError> {
    let client = asking.client;
    let Some(mut tenants) = asking.take("word_index", admin::list_tenants(client).await)? else {
        return Ok(Vec::new());
    };
    if let Some(slug) = &arguments.tenant {
        tenants.retain(|tenant| tenant.slug == *slug);
        if tenants.is_empty() {
            return Err(format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them").into());
        }
    }
    let mut reports = Vec::new();
    if !arguments.quick {
        for tenant in tenants {
            // What cannot be looked at in one cannot in any.
            let Some(report) = asking.take("word_index", maintenance::check(client, tenant.id).await)? else { break };
            reports.push((tenant.slug, report));
        }
    }
    Ok(reports)
}

fn unsealed(overdue: i64) -> Option<Finding> {
    (overdue > 0).then(|| Finding {
        check: "seals",
        severity: Severity::Fault,
        subject: "audit trail".to_owned(),
        detail: format!("{overdue} calls that were closed more than ten minutes ago are not sealed"),
        remedy: "`bailiwick maintain` seals them or says what is in the way".to_owned(),
    })
}

fn unfit_replica(detail: String) -> Finding {
    Finding {
        check: "replica",
        severity: Severity::Warning,
        subject: "read replica".to_owned(),
        detail,
        remedy: "searches are read on the primary meanwhile; docs/operations.md, \"The replica lags or is away\", says where to look".to_owned(),
    }
}

/// They may be another database's that is served at other times, or this one's from before it was restored or moved.
fn left_elsewhere(stranded: &Stranded, own: &Path) -> Finding {
    Finding {
        check: "audit_spool",
        severity: Severity::Warning,
        subject: stranded.folder.display().to_string(),
        detail: format!(
            "{} audit rows of calls that failed wait here for a database that no server with this data folder serves now",
            stranded.rows
        ),
        remedy: format!(
            "`bailiwick serve` with the URL of that database sends them; if it has become this one, move the .jsonl files to {}",
            own.display()
        ),
    }
}

fn left_in_plain(folder: &Path) -> Finding {
    Finding {
        check: "restore_remains",
        severity: Severity::Warning,
        subject: folder.display().to_string(),
        detail: "is what a restore of one tenant left that was killed; its documents may be in it, in plain".to_owned(),
        remedy: "remove it; the next restore with this data folder does so by itself".to_owned(),
    }
}

fn stray(table: &str, rows: i64) -> Finding {
    Finding {
        check: "stray_rows",
        severity: Severity::Fault,
        subject: table.to_owned(),
        detail: format!("{rows} rows of {table} have no partition for their month"),
        remedy: "`bailiwick maintain` makes those of this month and the next three, and moves rows into them; rows of other months have a wrong time".to_owned(),
    }
}

/// The first few faults of an index, in its own words.
fn of_index(slug: &str, report: &IndexReport) -> Vec<Finding> {
    let told = report.faults.iter().map(|fault| Finding {
        check: "word_index",
        severity: Severity::Fault,
        subject: slug.to_owned(),
        detail: fault.clone(),
        remedy: format!("`bailiwick maintain --rebuild --tenant {slug}` makes it anew from the documents"),
    });
    told.collect()
}

fn tell(findings: &[Finding], reports: &[(String, IndexReport)]) {
    let style = Style::of_stdout();
    for finding in findings {
        let severity = finding.severity.name();
        let severity = if finding.severity == Severity::Fault { style.bad(severity) } else { style.heading(severity) };
        print(&format!("{severity}  {}: {}", finding.subject, finding.detail));
        print(&style.dim(&format!("       {} ({})", finding.remedy, finding.check)));
    }
    if !reports.is_empty() {
        let mut table = style.table(&["tenant", "chunks", "fresh", "deleted", "blocks", "postings", "faults"]);
        for (slug, report) in reports {
            table.add_row([
                slug.clone(),
                report.chunks.to_string(),
                report.fresh_chunks.to_string(),
                report.dead_chunks.to_string(),
                report.blocks.to_string(),
                report.postings.to_string(),
                report.fault_count.to_string(),
            ]);
        }
        print(&table.to_string());
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
    print(&match (faults, warnings) {
        (0, 0) => style.good("nothing is wrong"),
        _ => format!("{faults} faults, {warnings} warnings"),
    });
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print(text: &str) {
    println!("{text}");
}
