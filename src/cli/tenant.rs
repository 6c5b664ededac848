use clap::Subcommand;
use rust_decimal::Decimal;
use serde_json::json;

use super::{CommandError, Style};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::DbError;
use crate::db::admin::{self, NewTenant};
use crate::startup::Deployment;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Make a tenant
    Create {
        /// Short name: small letters, digits and hyphens, 1 to 63 characters
        slug: String,
        /// Full name; the slug if absent
        #[arg(long)]
        name: Option<String>,
        /// Spending limit of a UTC month in USD; unlimited if absent
        #[arg(long, value_name = "USD")]
        monthly_budget_usd: Option<Decimal>,
        /// Document quota; unlimited if absent
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
        max_documents: Option<i32>,
        /// Quota for titles and contents in MiB; unlimited if absent
        #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(i32).range(0..))]
        max_storage_mb: Option<i32>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tenants with their quotas and what they hold
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs a tenant command as the database's administrator.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(database: &DatabaseArguments, command: &TenantCommand) -> Result<(), CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    match command {
        TenantCommand::Create { slug, name, monthly_budget_usd, max_documents, max_storage_mb, json } => {
            let tenant = NewTenant {
                slug: slug.clone(),
                name: name.clone().unwrap_or_else(|| slug.clone()),
                monthly_budget_usd: *monthly_budget_usd,
                max_documents: *max_documents,
                max_storage_mb: *max_storage_mb,
            };
            let made = match admin::create_tenant(&client, &tenant).await {
                Err(DbError::RefusedValue(text)) if text.contains("tenants_") => {
                    return Err(format!(
                        "a tenant {slug:?} cannot be made: a slug has 1 to 63 small letters, digits and hyphens and begins \
                         with none of the last, a name is not blank, and a budget is not negative"
                    )
                    .into());
                }
                other => other?,
            };
            let id = made.ok_or_else(|| format!("there is a tenant {slug:?} already"))?;
            match json {
                true => println!("{}", json!({ "tenant": { "id": id, "slug": slug } })),
                false => println!("tenant {slug} made ({id})"),
            }
        }
        TenantCommand::List { json } => {
            let tenants = admin::list_tenants(&client).await?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&json!({ "tenants": tenants }))?);
                return Ok(());
            }
            let limit = |limit: Option<String>| limit.unwrap_or_else(|| "unlimited".to_owned());
            let mut table = Style::of_stdout().table(&[
                "slug",
                "name",
                "status",
                "documents",
                "of",
                "bytes",
                "of MiB",
                "USD a month",
            ]);
            for tenant in tenants {
                table.add_row([
                    tenant.slug,
                    tenant.name,
                    tenant.status,
                    tenant.document_count.to_string(),
                    limit(tenant.max_documents.map(|n| n.to_string())),
                    tenant.storage_bytes.to_string(),
                    limit(tenant.max_storage_mb.map(|n| n.to_string())),
                    limit(tenant.monthly_budget_usd.map(|usd| usd.to_string())),
                ]);
            }
            println!("{table}");
        }
    }
    Ok(())
}
