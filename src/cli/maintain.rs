use std::process::ExitCode;

use clap::Args;

use super::{CommandError, Style};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::admin;
use crate::maintenance::{self, Scope};
use crate::startup::Deployment;

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
pub(super) async fn run(database: &DatabaseArguments, arguments: &MaintainArguments) -> Result<ExitCode, CommandError> {
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
    let code = if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(code);
    }
    if report.tenants.is_empty() {
        println!("nothing was left to do");
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
