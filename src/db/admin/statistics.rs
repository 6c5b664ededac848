//! The operator's overview: figures of each tenant as they were last counted, and what the tables take.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use tokio_postgres::Client;

use super::as_owner;
use crate::db::DbError;

const TENANT_STATISTICS: &str = include_str!("../../../sql/queries/administration/tenant_statistics.sql");
const TABLE_SIZES: &str = include_str!("../../../sql/queries/administration/table_sizes.sql");

/// A tenant's figures (`tenant_statistics`).
#[derive(Debug, Clone, Serialize)]
pub struct TenantStatistics {
    /// Documents that it holds.
    pub document_count: i64,
    /// Of them, those with a vector.
    pub embedded_documents: i64,
    /// Of all contents, in MiB.
    pub total_size_mb: Decimal,
    /// When it stored its newest document.
    pub last_document_created: Option<Timestamp>,
    /// Spent since the UTC month began.
    pub monthly_cost_usd: Decimal,
    /// When this was counted.
    pub as_of: Timestamp,
}

/// A tenant, with its figures if it was active when they were counted.
#[derive(Debug, Clone, Serialize)]
pub struct CountedTenant {
    /// Its short name.
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// Whether it may call.
    pub status: String,
    /// Its figures.
    #[serde(flatten)]
    pub counted: Option<TenantStatistics>,
}

/// What a table takes, with all its partitions.
#[derive(Debug, Clone, Serialize)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// How many partitions it has; 0 if it is not partitioned.
    pub partitions: i64,
    /// Rows, as the planner estimates them.
    pub rows_estimate: i64,
    /// Dead rows, until they are vacuumed.
    pub dead_rows: i64,
    /// Rows and what is kept beside them.
    pub table_bytes: i64,
    /// Its indexes.
    pub index_bytes: i64,
}

/// Every tenant by slug, with its figures as they were last counted.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "the administrator's own transaction")]
pub async fn tenant_statistics(client: &Client) -> Result<Vec<CountedTenant>, DbError> {
    client.batch_execute("BEGIN READ ONLY; SET LOCAL ROLE bailiwick_statistics").await?;
    let rows = client.query(TENANT_STATISTICS, &[]).await;
    client.batch_execute("ROLLBACK").await?;
    let read = |row: &tokio_postgres::Row| {
        let as_of: Option<Timestamp> = row.try_get("as_of")?;
        let counted = as_of.map(|as_of| {
            Ok::<_, DbError>(TenantStatistics {
                document_count: row.try_get("document_count")?,
                embedded_documents: row.try_get("embedded_documents")?,
                total_size_mb: row.try_get::<_, Decimal>("total_size_mb")?.normalize(),
                last_document_created: row.try_get("last_document_created")?,
                monthly_cost_usd: row.try_get::<_, Decimal>("monthly_cost")?.normalize(),
                as_of,
            })
        });
        Ok(CountedTenant {
            tenant: row.try_get("slug")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            counted: counted.transpose()?,
        })
    };
    rows?.iter().map(read).collect()
}

/// The tables, largest first, and the bytes of the whole database.
///
/// # Errors
/// Any [`DbError`].
pub async fn table_sizes(client: &Client) -> Result<(Vec<TableSize>, i64), DbError> {
    let rows = as_owner(client, TABLE_SIZES, &[]).await?;
    let database_bytes = rows.first().map_or(Ok(0), |row| row.try_get("database_bytes"))?;
    let tables = rows.iter().map(|row| {
        Ok(TableSize {
            table: row.try_get("table_name")?,
            partitions: row.try_get("partitions")?,
            rows_estimate: row.try_get("row_count")?,
            dead_rows: row.try_get("dead_row_count")?,
            table_bytes: row.try_get("table_bytes")?,
            index_bytes: row.try_get("index_bytes")?,
        })
    });
    Ok((tables.collect::<Result<_, DbError>>()?, database_bytes))
}
