//! `bailiwick report`: what tenants' rows tell, read as the database's administrator.

mod audit;
mod costs;
mod output;
mod statistics;

use clap::Subcommand;
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::admin::{self, TenantRow};
use crate::identity::TenantId;
use crate::startup::{DEFAULT_TENANT, Deployment};

/// What to report.
#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// Show what tenants spent, by day, model, user and more, with a plot, the period before and the budget
    #[command(
        after_help = "Examples:\n  bailiwick report costs --tenant acme --by day,model --zone Asia/Seoul\n  bailiwick report costs --tenant acme --from 2026-03-01 --to 2026-04-01 --by user --order cost\n  bailiwick report costs --all-tenants --csv > costs.csv\n\nThe month's forecast is what is spent of it, times its length, by the time that has passed of it (a day at least)."
    )]
    Costs(costs::CostsArguments),
    /// Show a tenant's audit trail, newest call first
    #[command(
        after_help = "Examples:\n  bailiwick report audit --tenant acme --outcome denied\n  bailiwick report audit --tenant acme --from 2026-03-01 --to 2026-04-01 --all --csv > march.csv\n  bailiwick report audit --tenant acme --call-id 0198c5e2-5f0c-7cc3-98a5-d7a1a3f0e5b1 --json"
    )]
    Audit(audit::AuditArguments),
    /// Show what each tenant holds and spent this month, as last counted, and what the tables take
    #[command(
        after_help = "Examples:\n  bailiwick report statistics\n  bailiwick report statistics --refresh --csv > tenants.csv\n  bailiwick report statistics --tables --json"
    )]
    Statistics(statistics::StatisticsArguments),
}

/// Runs a report.
pub(super) async fn run(database: &DatabaseArguments, command: &ReportCommand) -> Result<(), CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    // What is wrong with the arguments is told before a database is looked for.
    match command {
        ReportCommand::Audit(arguments) => {
            let request = arguments.checked()?;
            let (deployment, client) = open(&settings).await?;
            let tenant = match purged(arguments.tenant.as_deref()) {
                Some(id) => id,
                None => tenant(&deployment, &client, arguments.tenant.as_deref()).await?.id,
            };
            audit::run(&client, tenant, request).await
        }
        ReportCommand::Statistics(arguments) => {
            let (_deployment, client) = open(&settings).await?;
            statistics::run(&client, arguments).await
        }
        ReportCommand::Costs(arguments) => {
            let request = arguments.checked()?;
            let (deployment, client) = open(&settings).await?;
            let tenants = match arguments.all_tenants {
                true => {
                    let mut tenants: Vec<_> =
                        admin::list_tenants(&client).await?.into_iter().map(costs::Spender::from).collect();
                    tenants.extend(admin::purged_spenders(&client).await?.into_iter().map(costs::Spender::purged));
                    tenants
                }
                false => vec![spender(&deployment, &client, arguments.tenant.as_deref()).await?],
            };
            costs::run(&client, tenants, &request).await
        }
    }
}

async fn open(settings: &DatabaseSettings) -> Result<(Deployment, Client), CommandError> {
    let deployment = Deployment::open(settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    Ok((deployment, client))
}

/// The tenant of a report: the one named, or on the program's own PostgreSQL the one that is served by default.
async fn tenant(deployment: &Deployment, client: &Client, named: Option<&str>) -> Result<TenantRow, CommandError> {
    let slug = match named {
        Some(slug) => slug,
        None if deployment.is_embedded() => DEFAULT_TENANT,
        None => return Err("no tenant was named: give --tenant SLUG; `bailiwick tenant list` shows them".into()),
    };
    let tenants = admin::list_tenants(client).await?;
    let tenant = tenants.into_iter().find(|tenant| tenant.slug == slug);
    tenant.ok_or_else(|| {
        format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them, and one that was purged is named by its id").into()
    })
}

/// Whose costs are asked for: a tenant's, or by its id one's that is gone.
async fn spender(
    deployment: &Deployment,
    client: &Client,
    named: Option<&str>,
) -> Result<costs::Spender, CommandError> {
    let Some(id) = purged(named) else { return Ok(tenant(deployment, client, named).await?.into()) };
    // A slug may look like an id.
    let is_named = |tenant: &TenantRow| tenant.id == id || named == Some(tenant.slug.as_str());
    if let Some(tenant) = admin::list_tenants(client).await?.into_iter().find(is_named) {
        return Ok(tenant.into());
    }
    match admin::purged_spenders(client).await?.contains(&id) {
        true => Ok(costs::Spender::purged(id)),
        false => Err(format!(
            "there is no tenant {id}, and no costs are kept of one that was purged; `bailiwick tenant list` shows those that are there"
        )
        .into()),
    }
}

/// A tenant by its id, which its trail is kept under when it is gone.
fn purged(named: Option<&str>) -> Option<TenantId> {
    named?.parse().ok().map(|id: uuid::Uuid| TenantId::from(id))
}
