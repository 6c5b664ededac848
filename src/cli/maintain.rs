use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{CommandError, Style};
use crate::audit::{self, Keeping, Sealed, Sealer};
use crate::configuration::{AuditArguments, DatabaseArguments, DatabaseSettings, RetentionArguments};
use crate::db::admin;
use crate::maintenance::{self, Housekeeping, Kept, Scope};
use crate::startup::Deployment;

/// What is under way gets so long to end, so that its rows can be sealed.
const SEALS_WITHIN: Duration = Duration::from_secs(5);

/// What to look after.
#[derive(Debug, Args)]
pub(super) struct MaintainArguments {
    /// Only this tenant (slug)
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// Make the word index anew from the documents first
    #[arg(long)]
    rebuild: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What is due by the calendar, as configured.
pub(super) fn housekeeping(
    deployment: &Deployment,
    audit: &AuditArguments,
    retention: &RetentionArguments,
) -> Result<Housekeeping, CommandError> {
    let data_dir = deployment.data_dir();
    let keeping = Keeping::open(audit, data_dir)?;
    let data_dir = data_dir.map(Path::to_owned);
    Ok(Housekeeping { retention: retention.clone(), audit: audit.clone(), keeping, data_dir, today: None })
}

/// What was done by the calendar, for a person.
#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_kept(kept: &Kept) {
    if kept.busy {
        println!("partitions, months and deleted tenants: another server is at them");
    }
    if kept.partitions > 0 {
        println!("made {} monthly partitions", kept.partitions);
    }
    if let Some(retired) = &kept.retired {
        println!("retired {} rows of the audit trail ({})", retired.rows, retired.partitions.join(", "));
    }
    if let Some(retired) = &kept.retired_costs {
        println!("dropped costs ({}), {} rows of which are in files", retired.partitions.join(", "), retired.rows);
    }
    for purged in &kept.purged {
        println!("purged the deleted tenant {}: {} rows", purged.slug, purged.rows.values().sum::<i64>());
    }
    for (table, rows) in &kept.strays {
        println!("{rows} rows of {table} have no partition for their month");
    }
    for (work, error) in &kept.failures {
        println!("{work}: {error}");
    }
}

/// Does all the maintenance that there is to do.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    retention: &RetentionArguments,
    arguments: &MaintainArguments,
) -> Result<ExitCode, CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    retention.checked()?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    let observer = admin::connect(deployment.admin()?).await?;
    let only = match &arguments.tenant {
        None => None,
        Some(slug) => {
            let tenants = admin::list_tenants(&client).await?;
            let tenant = tenants.into_iter().find(|tenant| tenant.slug == *slug);
            Some(tenant.ok_or_else(|| format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them"))?.id)
        }
    };
    let scope = if arguments.rebuild { Scope::Rebuild } else { Scope::Everything };
    let report = maintenance::run(&client, Some(&observer), scope, only).await?;
    let housekeeping = housekeeping(&deployment, audit, retention)?;
    let sealed = Sealer::new(housekeeping.keeping.clone()).settle(&client, SEALS_WITHIN).await?;
    let sealed_rows = if let Sealed::Rows { rows, .. } = sealed { rows } else { 0 };
    let not_sealed = match sealed {
        Sealed::Rows { .. } | Sealed::Nothing => None,
        Sealed::Busy => Some("another server is sealing it"),
        Sealed::Pending => Some("not sealed, for a transaction that may still add a row has not ended"),
        Sealed::KeyMissing => Some("not sealed, for its seals are signed and BAILIWICK_AUDIT_KEY is not set"),
    };
    // Whoever is in the way may take minutes, as a backup does.
    let is_late = sealed == Sealed::KeyMissing || not_sealed.is_some() && audit::overdue_rows(&client).await? > 0;
    // Behind the seals: only months that are sealed are retired.
    let kept = if only.is_none() { housekeeping.pass(&client).await? } else { Kept::default() };
    let code = if is_late || report.has_errors() || !kept.failures.is_empty() || !kept.strays.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    };
    if arguments.json {
        let mut report = serde_json::to_value(&report)?;
        report["sealed_rows"] = sealed_rows.into();
        report["not_sealed"] = not_sealed.into();
        report["calendar"] = serde_json::to_value(&kept)?;
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(code);
    }
    print_kept(&kept);
    if sealed_rows > 0 {
        println!("sealed {sealed_rows} rows of the audit trail");
    }
    if let Some(why) = not_sealed {
        println!("audit trail: {why}");
    }
    if report.tenants.is_empty() {
        if sealed == Sealed::Nothing && kept.is_idle() {
            println!("nothing was left to do");
        }
        return Ok(code);
    }
    let mut table = Style::of_stdout().table(&["tenant", "rebuilt", "merged", "blocks", "purged", "vector index"]);
    let errors: Vec<String> = report
        .tenants
        .iter()
        .filter_map(|tenant| Some(format!("{}: {}", tenant.slug, tenant.error.as_ref()?)))
        .collect();
    for tenant in report.tenants {
        table.add_row([
            tenant.slug,
            tenant.rebuilt_chunks.to_string(),
            tenant.merged_chunks.to_string(),
            tenant.blocks_written.to_string(),
            tenant.purged_chunks.to_string(),
            tenant.vector_index.unwrap_or("as it was").to_owned(),
        ]);
    }
    println!("{table}");
    for error in errors {
        println!("{error}");
    }
    Ok(code)
}
