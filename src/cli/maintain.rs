use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{CommandError, Style};
use crate::audit::{Keeping, Sealed, Sealer};
use crate::configuration::{AuditArguments, DatabaseArguments, DatabaseSettings};
use crate::db::admin;
use crate::maintenance::{self, Scope};
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

/// Does all the maintenance that there is to do.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(
    database: &DatabaseArguments,
    audit: &AuditArguments,
    arguments: &MaintainArguments,
) -> Result<ExitCode, CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
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
    let keeping = Keeping::open(audit, deployment.data_dir())?;
    let sealed = Sealer::new(keeping).settle(&client, SEALS_WITHIN).await?;
    let sealed_rows = if let Sealed::Rows { rows, .. } = sealed { rows } else { 0 };
    let code = if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if arguments.json {
        let mut report = serde_json::to_value(&report)?;
        report["sealed_rows"] = sealed_rows.into();
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(code);
    }
    match sealed {
        Sealed::Rows { rows, .. } => println!("sealed {rows} rows of the audit trail"),
        Sealed::Nothing => {}
        Sealed::Busy => println!("audit trail: another server is sealing it"),
        Sealed::Pending => {
            println!("audit trail: not sealed, for a transaction that may still add a row has not ended");
        }
        Sealed::KeyMissing => {
            println!("audit trail: not sealed, for its seals are signed and BAILIWICK_AUDIT_KEY is not set");
        }
    }
    if report.tenants.is_empty() {
        if sealed == Sealed::Nothing {
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
