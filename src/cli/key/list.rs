use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, Style, no_tenant};
use crate::db::admin::{self, keys};

/// Whose keys.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    /// Only the keys of this tenant (slug)
    #[arg(long, value_name = "SLUG")]
    tenant: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints the keys.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(client: &Client, arguments: &ListArguments) -> Result<(), CommandError> {
    let found = keys::list(client, arguments.tenant.as_deref()).await?;
    if let Some(slug) = arguments.tenant.as_deref().filter(|_| found.is_empty())
        && !admin::list_tenants(client).await?.iter().any(|tenant| tenant.slug == slug)
    {
        return Err(no_tenant(slug));
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&json!({ "keys": found }))?);
        return Ok(());
    }
    let heads = ["prefix", "tenant", "user", "scopes", "created", "expires", "last used", "state", "id"];
    let mut table = Style::of_stdout().table(&heads);
    let day = |moment: Timestamp| moment.strftime("%Y-%m-%d %H:%MZ").to_string();
    for key in found {
        table.add_row([
            key.prefix,
            key.tenant,
            key.user,
            key.scopes.join(" "),
            day(key.created_at),
            key.expires_at.map_or_else(|| "never".to_owned(), day),
            key.last_used_at.map_or_else(|| "never".to_owned(), day),
            key.state,
            key.id.to_string(),
        ]);
    }
    println!("{table}");
    Ok(())
}
