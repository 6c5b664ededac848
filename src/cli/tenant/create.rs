//! `bailiwick tenant create`.

use std::fmt::Display;

use serde_json::json;
use tokio_postgres::Client;

use super::CommandError;
use crate::db::DbError;
use crate::db::admin::{self, NewTenant};

/// What was given no limit gets a finite one, so its limits are told with it.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn create(client: &Client, tenant: &NewTenant, json: bool) -> Result<(), CommandError> {
    let slug = &tenant.slug;
    let made = match admin::create_tenant(client, tenant).await {
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
    let (usd, documents, mib) = (tenant.monthly_budget_usd, tenant.max_documents, tenant.max_storage_mb);
    if json {
        let told = json!({
            "id": id, "slug": slug, "monthly_budget_usd": usd.map(|usd| usd.normalize().to_string()),
            "max_documents": documents, "max_storage_mb": mib,
        });
        println!("{}", json!({ "tenant": told }));
        return Ok(());
    }
    println!("tenant {slug} made ({id})");
    println!(
        "limits: {} USD a month, {} documents, {} MiB; `bailiwick tenant set {slug}` changes them",
        limit(usd.map(|usd| usd.normalize())),
        limit(documents),
        limit(mib)
    );
    Ok(())
}

fn limit(limit: Option<impl Display>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
