mod findings;
mod pitr;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::audit;
use crate::backup;
use crate::call;
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::{self, DatabaseIdentity, DbError, admin};
use crate::diagnosis::{self, Finding, SchemaState, Severity, Surroundings};
use crate::maintenance::{self, IndexReport};
use crate::startup::{self, Deployment};
use crate::telemetry;

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

/// Why nothing, or not all, could be looked at: another matter than a fault that was found.
struct NotLooked {
    check: &'static str,
    error: CommandError,
}

impl NotLooked {
    fn of<E: Into<CommandError>>(check: &'static str) -> impl Fn(E) -> Self {
        move |error| Self { check, error: error.into() }
    }
}

/// Examines the deployment and compares every tenant's index with its documents: 0 if nothing is at fault, 1 if something is, 2 if it could
/// not be looked at.
pub(super) async fn run(database: &DatabaseArguments, arguments: &DoctorArguments) -> Result<ExitCode, CommandError> {
    let NotLooked { check, error } = match examine(database, arguments).await {
        Ok(code) => return Ok(code),
        Err(not_looked) => not_looked,
    };
    let text = super::told(error.as_ref());
    if arguments.json {
        let finding = Finding {
            check,
            severity: Severity::Fault,
            subject: "doctor".to_owned(),
            detail: text.clone(),
            remedy: "nothing else could be looked at: set this right first".to_owned(),
        };
        print(&serde_json::to_string_pretty(&json!({ "sound": false, "findings": [finding] }))?);
    }
    telemetry::give_up(&text);
    Ok(ExitCode::from(2))
}

async fn examine(database: &DatabaseArguments, arguments: &DoctorArguments) -> Result<ExitCode, NotLooked> {
    let settings = DatabaseSettings::resolve(database).map_err(NotLooked::of("configuration"))?;
    let deployment = Deployment::open(&settings).await.map_err(NotLooked::of("database"))?;
    let admin = deployment.admin().map_err(NotLooked::of("database"))?;
    let client = admin::connect(admin).await.map_err(NotLooked::of("database"))?;
    if let Some(folder) = &arguments.pitr {
        return pitr::run(&deployment, &client, folder.as_deref(), arguments.json)
            .await
            .map_err(NotLooked::of("archiving"));
    }
    let data_dir = deployment.data_dir().map(Path::to_owned).or_else(|| settings.data_dir().ok());
    let surroundings = Surroundings { folders: data_dir.into_iter().collect(), is_embedded: deployment.is_embedded() };
    let examined = diagnosis::examine(&client, &surroundings).await.map_err(NotLooked::of("database"))?;
    let mut findings = examined.findings;
    let mut asking = Asking { client: &client, schema: examined.schema, findings: Vec::new() };
    let overdue = asking.take("seals", audit::overdue_rows(&client)).await?.unwrap_or_default();
    let mut strays = asking.take("stray_rows", admin::stray_rows(&client)).await?.map(Vec::from).unwrap_or_default();
    strays.retain(|(_, rows)| *rows > 0);
    let mut failed = asking.take("embeddings", admin::failed_embeddings(&client)).await?.unwrap_or_default();
    failed.retain(|failed| arguments.tenant.as_ref().is_none_or(|slug| *slug == failed.tenant));
    let dimensions = asking.take("embedder", admin::embedding_dimensions(&client)).await?;
    let reports = indexes(&mut asking, arguments).await?;
    findings.extend(asking.findings);
    if let Ok(app) = deployment.app()
        && examined.schema != SchemaState::Absent
    {
        findings.extend(diagnosis::of_application(app, admin).await);
    }
    findings.extend(diagnosis::of_embedder(&settings, dimensions).await);
    findings.extend(failed.iter().map(findings::not_embedded));
    if let Some(replica) = &settings.replica {
        match db::examine_replica(admin, replica).await {
            Ok(detail) => findings.extend(detail.map(findings::unfit_replica)),
            Err(error) => findings.push(diagnosis::blind("replica", &error)),
        }
    }
    findings.extend(audit_spool(&settings, &client).await.map_err(NotLooked::of("configuration"))?);
    if let Ok(data_dir) = settings.data_dir() {
        findings.extend(backup::abandoned_folders(&data_dir).iter().map(|folder| findings::left_in_plain(folder)));
    }
    findings.extend(findings::unsealed(overdue));
    findings.extend(strays.iter().map(|(table, rows)| findings::stray(table, *rows)));
    findings.extend(reports.iter().flat_map(|(slug, report)| findings::of_index(slug, report)));
    findings.sort_by_key(|finding| finding.severity);
    let is_sound = is_sound(&findings);
    if arguments.json {
        let tenants: Vec<_> = reports.iter().map(|(slug, report)| json!({ "slug": slug, "index": report })).collect();
        let told = json!({
            "sound": is_sound, "findings": findings, "tenants": tenants, "unsealed_calls": overdue, "failed_embeddings": failed,
            "stray_rows": strays.iter().copied().collect::<BTreeMap<_, _>>(),
        });
        print(&serde_json::to_string_pretty(&told).map_err(NotLooked::of("doctor"))?);
    } else {
        tell(&findings, &reports);
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether nothing is at fault.
fn is_sound(findings: &[Finding]) -> bool {
    !findings.iter().any(|finding| finding.severity == Severity::Fault)
}

/// Rows of calls that wait on this machine's disk, for this database and for others.
async fn audit_spool(settings: &DatabaseSettings, client: &Client) -> Result<Vec<Finding>, CommandError> {
    let Ok(identity) = DatabaseIdentity::of(client).await else { return Ok(Vec::new()) };
    let own = startup::spool::of_database(settings, &identity)?;
    let mut findings: Vec<_> = findings::left_for_this(&own, call::left_in(&own)).into_iter().collect();
    findings.extend(call::stranded(&own).iter().map(|stranded| findings::left_elsewhere(stranded, &own)));
    Ok(findings)
}

/// What is asked of the schema beside the checks: what cannot be told is a finding, and keeps nothing else from being told.
struct Asking<'a> {
    client: &'a Client,
    schema: SchemaState,
    findings: Vec<Finding>,
}

impl Asking<'_> {
    async fn take<T>(
        &mut self,
        check: &'static str,
        asked: impl Future<Output = Result<T, DbError>>,
    ) -> Result<Option<T>, NotLooked> {
        if self.schema == SchemaState::Absent {
            return Ok(None);
        }
        match asked.await {
            Ok(told) => Ok(Some(told)),
            Err(error) if self.client.is_closed() => Err(NotLooked::of("database")(error)),
            Err(error) if self.schema == SchemaState::Other => {
                self.findings.push(Finding {
                    severity: Severity::Note,
                    remedy: "bring the schema up to date first (`bailiwick migrate up`)".to_owned(),
                    ..diagnosis::blind(check, &error)
                });
                Ok(None)
            }
            Err(error) => {
                self.findings.push(diagnosis::blind(check, &error));
                Ok(None)
            }
        }
    }
}

async fn indexes(
    asking: &mut Asking<'_>,
    arguments: &DoctorArguments,
) -> Result<Vec<(String, IndexReport)>, NotLooked> {
    let client = asking.client;
    let Some(mut tenants) = asking.take("word_index", admin::list_tenants(client)).await? else {
        return Ok(Vec::new());
    };
    if let Some(slug) = &arguments.tenant {
        tenants.retain(|tenant| tenant.slug == *slug);
        if tenants.is_empty() {
            let told = format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them");
            return Err(NotLooked::of("tenant")(told));
        }
    }
    let mut reports = Vec::new();
    if !arguments.quick {
        for tenant in tenants {
            // What cannot be looked at in one cannot in any.
            let Some(report) = asking.take("word_index", maintenance::check(client, tenant.id)).await? else { break };
            reports.push((tenant.slug, report));
        }
    }
    Ok(reports)
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
