mod create;
mod ends;
mod transfer;

use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::configuration::{DatabaseArguments, DatabaseSettings, RetentionArguments};
use crate::db::DbError;
use crate::db::admin::{self, NewTenant, TenantChange};
use crate::startup::Deployment;
use crate::tenants::SettingsPatch;
use crate::tenants::transfer::ImportOptions;

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
        /// Spending limit of a UTC month in USD, or unlimited
        #[arg(long, value_name = "USD|unlimited", default_value = "50", value_parser = limit::<Decimal>)]
        monthly_budget_usd: Limit<Decimal>,
        /// Document quota, or unlimited
        #[arg(long, value_name = "N|unlimited", default_value = "100000", value_parser = limit::<i32>)]
        max_documents: Limit<i32>,
        /// Quota for titles and contents in MiB, or unlimited
        #[arg(long, value_name = "MIB|unlimited", default_value = "10240", value_parser = limit::<i32>)]
        max_storage_mb: Limit<i32>,
        /// Settings, as JSON: {"budget": {"daily_usd": 5}, "limits": {"calls_per_minute": 600}}
        #[arg(long, value_name = "JSON", value_parser = SettingsPatch::parse)]
        settings: Option<SettingsPatch>,
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
    /// Show a tenant: its limits and settings, what it holds and spent
    Show {
        /// Its short name
        slug: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a tenant's name, limits or settings; what is not given stays
    Set {
        /// Its short name
        slug: String,
        /// Full name
        #[arg(long)]
        name: Option<String>,
        /// Spending limit of a UTC month in USD, or unlimited
        #[arg(long, value_name = "USD|unlimited", value_parser = limit::<Decimal>)]
        monthly_budget_usd: Option<Limit<Decimal>>,
        /// Document quota, or unlimited
        #[arg(long, value_name = "N|unlimited", value_parser = limit::<i32>)]
        max_documents: Option<Limit<i32>>,
        /// Quota for titles and contents in MiB, or unlimited
        #[arg(long, value_name = "MIB|unlimited", value_parser = limit::<i32>)]
        max_storage_mb: Option<Limit<i32>>,
        /// Settings to change, as JSON; null takes one away: {"budget": {"mode": "soft", "daily_usd": 5}, "limits": {"calls_per_minute": 600}}
        #[arg(long, value_name = "JSON", value_parser = SettingsPatch::parse)]
        settings: Option<SettingsPatch>,
    },
    /// Refuse a tenant's calls from now on; those under way end
    Suspend {
        /// Its short name
        slug: String,
    },
    /// Serve a suspended tenant again
    Activate {
        /// Its short name
        slug: String,
    },
    /// Let nobody in any more; its rows stay for BAILIWICK_PURGE_AFTER_DAYS (30), and until then `restore` undoes it
    Delete {
        /// Its short name
        slug: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a deleted tenant what it was before
    Restore {
        /// Its short name
        slug: String,
    },
    /// Delete a deleted tenant's rows for good, all but those of its audit trail and costs, which go with their months
    Purge {
        /// Its short name
        slug: String,
        /// Before its days are over
        #[arg(long, requires = "confirm")]
        now: bool,
        /// Its short name once more, for there is no way back
        #[arg(long, value_name = "SLUG")]
        confirm: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write its settings, documents, passages and vectors to a new file of JSON lines, by gzip if it is named .gz
    Export {
        /// Its short name
        slug: String,
        /// The file, which must not be there yet
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a tenant of what `export` wrote, here or in another database; run again after it was broken off it goes on
    Import {
        /// The file
        file: PathBuf,
        /// Its short name here; as in the file if absent
        #[arg(long = "as", value_name = "SLUG")]
        slug: Option<String>,
        /// Leave the vectors out: the documents are embedded anew, by the model of this database
        #[arg(long)]
        without_vectors: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// A limit or none, as it is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit<T>(Option<T>);

fn limit<T: FromStr + PartialOrd + Default>(text: &str) -> Result<Limit<T>, String> {
    if text == "unlimited" {
        return Ok(Limit(None));
    }
    let parsed = text.parse().ok().filter(|limit: &T| *limit >= T::default());
    parsed.map(|limit| Limit(Some(limit))).ok_or_else(|| "give a number from 0 on, or unlimited".to_owned())
}

async fn change(client: &Client, slug: &str, change: TenantChange) -> Result<(), CommandError> {
    match admin::change_tenant(client, slug, &change).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(not_there(client, slug).await?),
        Err(DbError::RefusedValue(text)) if text.contains("tenants_") => {
            Err("the tenant was not changed: a name is not blank, and limits are not negative".into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Why a tenant cannot be changed.
async fn not_there(client: &Client, slug: &str) -> Result<CommandError, CommandError> {
    let end = admin::tenant_end(client, slug, 0).await?;
    Ok(match end.filter(|end| end.is_deleted) {
        Some(end) if end.import_sha256.is_some() => format!("the import of the tenant {slug:?} has not ended").into(),
        Some(_) => format!("the tenant {slug:?} is deleted; `bailiwick tenant restore {slug}` brings it back").into(),
        None => unknown(slug),
    })
}

fn unknown(slug: &str) -> CommandError {
    format!("there is no tenant {slug:?}; `bailiwick tenant list` shows those that there are").into()
}

/// Runs a tenant command as the database's administrator.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(
    database: &DatabaseArguments,
    retention: &RetentionArguments,
    command: &TenantCommand,
) -> Result<(), CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    match command {
        TenantCommand::Create { slug, name, monthly_budget_usd, max_documents, max_storage_mb, settings, json } => {
            let tenant = NewTenant {
                slug: slug.clone(),
                name: name.clone().unwrap_or_else(|| slug.clone()),
                monthly_budget_usd: monthly_budget_usd.0,
                max_documents: max_documents.0,
                max_storage_mb: max_storage_mb.0,
                settings: settings.clone(),
            };
            create::create(&client, &tenant, *json).await?;
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
        TenantCommand::Show { slug, json } => {
            let tenant = admin::show_tenant(&client, slug).await?.ok_or_else(|| unknown(slug))?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&json!({ "tenant": tenant }))?);
                return Ok(());
            }
            let mut table = Style::of_stdout().table(&["field", "value"]);
            for (field, value) in tenant.as_object().into_iter().flatten() {
                let value = match value {
                    Value::Null => "unlimited".to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                table.add_row([field, &value]);
            }
            println!("{table}");
        }
        TenantCommand::Set { slug, name, monthly_budget_usd, max_documents, max_storage_mb, settings } => {
            let wanted = TenantChange {
                name: name.clone(),
                status: None,
                monthly_budget_usd: monthly_budget_usd.map(|limit| limit.0),
                max_documents: max_documents.map(|limit| limit.0),
                max_storage_mb: max_storage_mb.map(|limit| limit.0),
                settings: settings.clone(),
            };
            change(&client, slug, wanted).await?;
            println!("tenant {slug} changed");
        }
        TenantCommand::Suspend { slug } => {
            let wanted = TenantChange { status: Some("suspended"), ..TenantChange::default() };
            change(&client, slug, wanted).await?;
            println!("tenant {slug} suspended: its calls are refused");
        }
        TenantCommand::Activate { slug } => {
            let wanted = TenantChange { status: Some("active"), ..TenantChange::default() };
            change(&client, slug, wanted).await?;
            println!("tenant {slug} active: its calls are served");
        }
        TenantCommand::Delete { slug, json } => ends::delete(&client, retention, slug, *json).await?,
        TenantCommand::Restore { slug } => ends::restore(&client, slug).await?,
        TenantCommand::Purge { slug, now, confirm, json } => {
            ends::purge(&client, retention, slug, *now, confirm.as_deref(), *json).await?;
        }
        TenantCommand::Export { slug, file, json } => transfer::export(&client, slug, file, *json).await?,
        TenantCommand::Import { file, slug, without_vectors, json } => {
            let options = ImportOptions { slug: slug.clone(), without_vectors: *without_vectors };
            transfer::import(&client, file, &options, *json).await?;
        }
    }
    Ok(())
}
