//! `bailiwick tenant delete`, `restore` and `purge`.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, unknown};
use crate::cli::progress;
use crate::configuration::RetentionArguments;
use crate::db::admin;
use crate::tenants::purge as purging;

/// No call lasts longer than the server's longest work of its own; most end within seconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn delete(
    client: &Client,
    retention: &RetentionArguments,
    slug: &str,
    json: bool,
) -> Result<(), CommandError> {
    let deleted = admin::delete_tenant(client, slug).await?;
    let end = admin::tenant_end(client, slug, retention.purge_after_days).await?.ok_or_else(|| unknown(slug))?;
    if deleted.is_none() {
        return Err(format!("the tenant {slug:?} is deleted already").into());
    }
    let from = end.purged_from.map(|from| from.to_string()).unwrap_or_default();
    match json {
        true => println!("{}", json!({ "tenant": { "id": end.id, "slug": slug, "purged_from": from } })),
        false => println!(
            "tenant {slug} deleted: nobody gets in. Its rows are purged from {from} on; until then `bailiwick tenant restore {slug}` brings it back"
        ),
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn restore(client: &Client, slug: &str) -> Result<(), CommandError> {
    if let Some(status) = admin::restore_tenant(client, slug).await? {
        println!("tenant {slug} restored: it is {status}, as it was");
        return Ok(());
    }
    let end = admin::tenant_end(client, slug, 0).await?.ok_or_else(|| unknown(slug))?;
    Err(match (end.is_deleted, end.import_sha256.is_some()) {
        (false, _) => format!("the tenant {slug:?} is not deleted").into(),
        (true, true) => format!("the import of the tenant {slug:?} has not ended: import the same file again").into(),
        (true, false) => format!("the tenant {slug:?} cannot be restored: some of its rows are gone").into(),
    })
}

#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn purge(
    client: &Client,
    retention: &RetentionArguments,
    slug: &str,
    now: bool,
    confirm: Option<&str>,
    json: bool,
) -> Result<(), CommandError> {
    let end = admin::tenant_end(client, slug, retention.purge_after_days).await?.ok_or_else(|| unknown(slug))?;
    if !end.is_deleted {
        return Err(format!("the tenant {slug:?} is not deleted: `bailiwick tenant delete {slug}` comes first").into());
    }
    if now && confirm != Some(slug) {
        return Err(
            format!("--confirm names {:?} and not {slug:?}: nothing was purged", confirm.unwrap_or_default()).into()
        );
    }
    let due = purging::due(client, retention.purge_after_days).await?;
    if !now && due.iter().all(|(id, _)| *id != end.id) {
        let from = end.purged_from.map(|from| from.to_string()).unwrap_or_default();
        return Err(format!(
            "the tenant {slug:?} is kept until {from}; `bailiwick tenant purge {slug} --now --confirm {slug}` does not wait"
        )
        .into());
    }
    let bar = progress::counter("rows purged", None);
    let purged = purging::purge(client, end.id, PATIENCE, |_, rows| bar.inc(rows.unsigned_abs())).await;
    bar.finish_and_clear();
    let purged = purged?;
    match json {
        true => println!("{}", serde_json::to_string_pretty(&json!({ "purged": purged }))?),
        false => {
            let rows: i64 = purged.rows.values().sum();
            println!("tenant {slug} purged: {rows} rows. Its audit trail and costs are kept under its id, {}", end.id);
        }
    }
    Ok(())
}
