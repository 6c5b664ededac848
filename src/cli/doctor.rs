use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::audit;
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::{self, admin};
use crate::diagnosis::{self, Finding, Severity, Surroundings};
use crate::maintenance::{self, IndexReport};
use crate::startup::Deployment;

/// What to check.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Only this tenant's indexes and documents (slug)
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Leave out the comparison of indexes with documents, which reads every document
    #[arg(long)]
    quick: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Examines the deployment and compares every tenant's index with its documents; fails if something is at fault.
pub(super) async fn run(database: &DatabaseArguments, arguments: &DoctorArguments) -> Result<ExitCode, CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    let surroundings = Surroundings {
        folders: deployment.data_dir().map(std::path::Path::to_owned).into_iter().collect(),
        is_embedded: deployment.is_embedded(),
    };
    let mut findings = diagnosis::examine(&client, &surroundings).await?;
    let mut reports = Vec::new();
    // A schema that is not this program's has no trail and no index to speak of.
    let is_current = !findings.iter().any(|finding| finding.check == "migrations");
    let (mut overdue, mut failed, mut strays) = (0, Vec::new(), Vec::new());
    if is_current {
        overdue = audit::overdue_rows(&client).await?;
        strays = admin::stray_rows(&client).await?.to_vec();
        strays.retain(|(_, rows)| *rows > 0);
        failed = admin::failed_embeddings(&client).await?;
        failed.retain(|failed| arguments.tenant.as_ref().is_none_or(|slug| *slug == failed.tenant));
        reports = indexes(&client, arguments).await?;
    }
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
    findings.extend(unsealed(overdue));
    findings.extend(strays.iter().map(|(table, rows)| stray(table, *rows)));
    findings.extend(reports.iter().flat_map(|(slug, report)| of_index(slug, report)));
    findings.sort_by_key(|finding| finding.severity);
    let is_sound = !findings.iter().any(|finding| finding.severity == Severity::Fault);
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

async fn indexes(client: &Client, arguments: &DoctorArguments) -> Result<Vec<(String, IndexReport)>, CommandError> {
    let mut tenants = admin::list_tenants(client).await?;
    if let Some(slug) = &arguments.tenant {
        tenants.retain(|tenant| tenant.slug == *slug);
        if tenants.is_empty() {
            return Err(format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them").into());
        }
    }
    let mut reports = Vec::new();
    if !arguments.quick {
        for tenant in tenants {
            reports.push((tenant.slug, maintenance::check(client, tenant.id).await?));
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
