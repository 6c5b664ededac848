use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{CommandError, Style};
use crate::audit;
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::admin;
use crate::maintenance;
use crate::startup::Deployment;

/// What to check.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// Only this tenant (slug)
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Compares every tenant's index with its documents; fails if something is wrong.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(database: &DatabaseArguments, arguments: &DoctorArguments) -> Result<ExitCode, CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    let mut tenants = admin::list_tenants(&client).await?;
    if let Some(slug) = &arguments.tenant {
        tenants.retain(|tenant| tenant.slug == *slug);
        if tenants.is_empty() {
            return Err(format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them").into());
        }
    }
    let mut reports = Vec::new();
    for tenant in tenants {
        reports.push((tenant.slug, maintenance::check(&client, tenant.id).await?));
    }
    let overdue = audit::overdue_rows(&client).await?;
    let mut failed = admin::failed_embeddings(&client).await?;
    failed.retain(|failed| arguments.tenant.as_ref().is_none_or(|slug| *slug == failed.tenant));
    let mut strays = admin::stray_rows(&client).await?.to_vec();
    strays.retain(|(_, rows)| *rows > 0);
    let is_sound = overdue == 0
        && strays.is_empty()
        && failed.is_empty()
        && reports.iter().all(|(_, report)| report.fault_count == 0);
    if arguments.json {
        let tenants: Vec<_> = reports.iter().map(|(slug, report)| json!({ "slug": slug, "index": report })).collect();
        println!(
            "{}",
            serde_json::to_string_pretty(
                &json!({ "sound": is_sound, "tenants": tenants, "unsealed_calls": overdue, "failed_embeddings": failed, "stray_rows": strays.iter().copied().collect::<BTreeMap<_, _>>() })
            )?
        );
    } else {
        let mut table =
            Style::of_stdout().table(&["tenant", "chunks", "fresh", "deleted", "blocks", "postings", "faults"]);
        for (slug, report) in &reports {
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
        println!("{table}");
        for (slug, report) in &reports {
            for fault in &report.faults {
                println!("{slug}: {fault}");
            }
        }
        for failed in &failed {
            println!(
                "{}: {} documents could not be embedded ({}) and are found by words alone; `bailiwick embed --retry-failed` tries them again",
                failed.tenant, failed.documents, failed.error
            );
        }
        for (table, rows) in &strays {
            println!(
                "{rows} rows of {table} have no partition for their month; `bailiwick maintain` makes those of this month and the next three, and moves rows into them. Rows of other months have a wrong time"
            );
        }
        if overdue > 0 {
            println!(
                "audit trail: {overdue} calls that were closed more than ten minutes ago are not sealed; `bailiwick maintain` seals them or says what is in the way"
            );
        }
        if reports.iter().any(|(_, report)| report.fault_count > 0) {
            println!("`bailiwick maintain --rebuild --tenant SLUG` makes an index anew from the documents");
        }
    }
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
