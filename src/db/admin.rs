//! Connections for administration: migrations, tenants, background maintenance. Never used to serve a call.

mod databases;
mod diagnosis;
mod embedding;
mod ends;
pub mod keys;
mod prices;
mod statistics;
mod tenants;

pub use databases::{
    DatabaseForm, analyse, close_database, create_database_like, database_form, give_database, grant_on_database,
    have_time, put_in_place, rename_database, set_for_sessions, set_password,
};
pub use diagnosis::{
    ApplicationSession, Archive, SchemaObject, Server, application_session, archive, begin_checks, count_statements,
    diagnose, embedding_dimensions, end_checks, schema_objects, see_all_tenants, sees_statistics, server,
    slow_statements,
};
pub use embedding::{
    EmbeddingState, FailedEmbeddings, count_chunks, count_next_lacking, embed_again, embedding_state,
    failed_embeddings, prepare_next_embeddings, switch_embedding_model,
};

pub use ends::{TenantEnd, delete_tenant, restore_tenant, step_aside, tenant_end};
pub use prices::{PriceRow, Standing, add_prices, judge_prices, list_prices};
pub use statistics::{CountedTenant, TableSize, TenantStatistics, table_sizes, tenant_statistics};
pub use tenants::{TenantChange, change_tenant, show_tenant};

use std::time::Duration;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::endpoint::Patience;
use super::{DbError, Endpoint, Parameter};
use crate::identity::TenantId;
use crate::tenants::SettingsPatch;

const CREATE_TENANT: &str = include_str!("../../sql/queries/administration/create_tenant.sql");
const LIST_TENANTS: &str = include_str!("../../sql/queries/administration/list_tenants.sql");
const PURGED_SPENDERS: &str = include_str!("../../sql/queries/administration/purged_spenders.sql");
const MAINTAIN_PARTITIONS: &str = include_str!("../../sql/queries/administration/maintain_partitions.sql");
const STRAY_ROWS: &str = include_str!("../../sql/queries/administration/stray_rows.sql");
const REFRESH_STALE_STATISTICS: &str = include_str!("../../sql/queries/administration/refresh_stale_statistics.sql");
const FRESH_INDEX_IS_BLOATED: &str = include_str!("../../sql/queries/maintenance/fresh_index_is_bloated.sql");
const REFRESH_STATISTICS: &str = include_str!("../../sql/queries/administration/refresh_statistics.sql");

/// How long a host may take to let an administrator in.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last of them may take, which mostly is the only one: a server that has just been started is slow to answer.
const LONGEST_CONNECT: Duration = Duration::from_secs(30);

/// Opens one connection as an administrator.
///
/// # Errors
/// [`DbError::Unavailable`] if the server cannot be reached or refuses the role.
pub async fn connect(endpoint: impl Into<Endpoint>) -> Result<Client, DbError> {
    let mut endpoint: Endpoint = endpoint.into();
    // Whoever vanishes with a maintenance lock must be known to be gone.
    endpoint.keep_alive(Duration::from_secs(30), Duration::from_secs(10), Duration::from_secs(30));
    let patience = Patience { each: PATIENCE, last: LONGEST_CONNECT };
    let (client, connection) = endpoint.connect("bailiwick-admin", patience).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "administration connection ended");
        }
    });
    Ok(client)
}

/// Makes a database unless it is there. Whoever loses a race for it finds it made.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "CREATE DATABASE runs in no transaction and takes no parameters")]
pub async fn create_database(client: &Client, name: &str) -> Result<(), DbError> {
    let known = client.query("SELECT FROM pg_database WHERE datname = $1", &[&name]).await?;
    if !known.is_empty() {
        return Ok(());
    }
    let made =
        client.batch_execute(&format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quoted(name))).await;
    match made {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
        other => Ok(other?),
    }
}

/// Drops a database with whoever is still connected to it.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "DROP DATABASE runs in no transaction and takes no parameters")]
pub async fn drop_database(client: &Client, name: &str) -> Result<(), DbError> {
    Ok(client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await?)
}

/// Makes the partitions of this month and the next three; returns how many were new.
///
/// # Errors
/// Any [`DbError`].
pub async fn maintain_partitions(client: &Client) -> Result<i32, DbError> {
    let rows = as_owner(client, MAINTAIN_PARTITIONS, &[]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get("created")?))
}

/// Rows of the audit trail and of costs that have no partition for their month.
///
/// # Errors
/// Any [`DbError`].
pub async fn stray_rows(client: &Client) -> Result<[(&'static str, i64); 2], DbError> {
    let rows = as_owner(client, STRAY_ROWS, &[]).await?;
    let row = rows.first().ok_or_else(|| DbError::Other("no row".to_owned()))?;
    Ok([("audit_logs", row.try_get("audit_logs")?), ("cost_tracking", row.try_get("cost_tracking")?)])
}

/// Counts the operator's overview anew if the last count is older than that and no other server is at it; whether it did.
///
/// # Errors
/// Any [`DbError`].
pub async fn refresh_stale_statistics(client: &Client, older_than: Duration) -> Result<bool, DbError> {
    let rows = as_owner(client, REFRESH_STALE_STATISTICS, &[&older_than.as_secs_f64()]).await?;
    rows.first().map_or(Ok(false), |row| Ok(row.try_get("is_refreshed")?))
}

/// Counts the operator's overview of all tenants anew.
///
/// # Errors
/// Any [`DbError`].
pub async fn refresh_statistics(client: &Client) -> Result<(), DbError> {
    as_owner(client, REFRESH_STATISTICS, &[]).await.map(drop)
}

/// A tenant to make; a limit that is `None` is unlimited.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Spending limit of a UTC month.
    pub monthly_budget_usd: Option<Decimal>,
    /// Document quota.
    pub max_documents: Option<i32>,
    /// Storage quota in MiB.
    pub max_storage_mb: Option<i32>,
    /// Its settings; the program's own where it says nothing.
    pub settings: Option<SettingsPatch>,
}

/// Makes a tenant, with a row in its trail; `None` if its slug is taken.
///
/// # Errors
/// [`DbError::RefusedValue`] for a slug or name that the schema does not allow, and any other [`DbError`].
pub async fn create_tenant(client: &Client, tenant: &NewTenant) -> Result<Option<TenantId>, DbError> {
    let NewTenant { slug, name, monthly_budget_usd, max_documents, max_storage_mb, settings } = tenant;
    let nothing = Value::Object(serde_json::Map::new());
    let settings = settings.as_ref().map_or(&nothing, SettingsPatch::as_json);
    let parameters: [Parameter<'_>; 6] = [slug, name, monthly_budget_usd, max_documents, max_storage_mb, settings];
    let rows = as_owner(client, CREATE_TENANT, &parameters).await?;
    rows.first().map(|row| Ok(TenantId::from(row.try_get::<_, Uuid>("id")?))).transpose()
}

/// A tenant as `bailiwick tenant list` shows it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "columns of the same name")]
pub struct TenantRow {
    pub id: TenantId,
    pub slug: String,
    pub name: String,
    pub status: String,
    pub monthly_budget_usd: Option<Decimal>,
    pub max_documents: Option<i32>,
    pub max_storage_mb: Option<i32>,
    pub document_count: i64,
    pub storage_bytes: i64,
}

/// All tenants, by slug.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_tenants(client: &Client) -> Result<Vec<TenantRow>, DbError> {
    let rows = as_owner(client, LIST_TENANTS, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(TenantRow {
                id: TenantId::from(row.try_get::<_, Uuid>("id")?),
                slug: row.try_get("slug")?,
                name: row.try_get("name")?,
                status: row.try_get("status")?,
                monthly_budget_usd: row.try_get::<_, Option<Decimal>>("monthly_budget_usd")?.map(|usd| usd.normalize()),
                max_documents: row.try_get("max_documents")?,
                max_storage_mb: row.try_get("max_storage_mb")?,
                document_count: row.try_get("document_count")?,
                storage_bytes: row.try_get("storage_bytes")?,
            })
        })
        .collect()
}

/// Tenants that are gone, whose costs are kept.
///
/// # Errors
/// Any [`DbError`].
pub async fn purged_spenders(client: &Client) -> Result<Vec<TenantId>, DbError> {
    let rows = as_owner(client, PURGED_SPENDERS, &[]).await?;
    rows.iter().map(|row| Ok(TenantId::from(row.try_get::<_, Uuid>("tenant_id")?))).collect()
}

/// Cleans up after merges and tells the planner how large the index's tables are.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "VACUUM runs in no transaction and takes no parameters")]
pub async fn vacuum_index(client: &Client) -> Result<(), DbError> {
    client.batch_execute("SET ROLE bailiwick_owner").await?;
    let done = client
        .batch_execute(
            "VACUUM (ANALYZE, INDEX_CLEANUP ON) fresh_postings, posting_blocks, chunk_tombstones, chunk_segments",
        )
        .await;
    client.batch_execute("RESET ROLE").await?;
    Ok(done?)
}

/// Makes the index of fresh postings anew where a bulk load, since merged, has left it large; whether it did. It waits for nobody, so that
/// nobody waits behind it: while others write it is left for the next time.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "REINDEX takes no parameters")]
pub async fn shrink_fresh_index(client: &Client) -> Result<bool, DbError> {
    let rows = as_owner(client, FRESH_INDEX_IS_BLOATED, &[]).await?;
    if !rows.first().map_or(Ok(false), |row| row.try_get("is_bloated"))? {
        return Ok(false);
    }
    let reindex = "BEGIN; SET LOCAL ROLE bailiwick_owner; SET LOCAL lock_timeout = '50ms'; REINDEX INDEX fresh_postings_pkey; COMMIT";
    match client.batch_execute(reindex).await.map_err(DbError::from) {
        Ok(()) => Ok(true),
        Err(error) => {
            client.batch_execute("ROLLBACK").await?;
            if matches!(error, DbError::TimedOut(_)) { Ok(false) } else { Err(error) }
        }
    }
}

/// Runs one statement as the schema's owner with the administrator's setting, both for its transaction alone.
#[expect(clippy::disallowed_methods, reason = "the administrator's own transaction")]
pub(crate) async fn as_owner(
    client: &Client,
    sql: &'static str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, DbError> {
    client.batch_execute("BEGIN; SET LOCAL ROLE bailiwick_owner; SET LOCAL app.current_user_role = 'admin'").await?;
    let rows = client.query(sql, parameters).await;
    client.batch_execute(if rows.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(rows?)
}

/// Quoted as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
