//! What is in a database at one moment, summed up: the same for a manifest and for what a restore is compared with.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::manifest::{AuditHead, Rows, TableRows, TenantSummary, of_tenant};
use super::{BackupError, Step};
use crate::audit::Hash;
use crate::db::{DbError, WholeSnapshot};

const TABLES: &str = include_str!("../../sql/queries/backup/tables.sql");
const ROWS: &str = include_str!("../../sql/queries/backup/rows.sql");
const SEQUENCES: &str = include_str!("../../sql/queries/backup/sequences.sql");
const TENANTS: &str = include_str!("../../sql/queries/backup/tenants.sql");
const LAST_SEAL: &str = include_str!("../../sql/queries/backup/last_seal.sql");
const OBJECTS: &str = include_str!("../../sql/queries/backup/objects.sql");
const EXTENSIONS: &str = include_str!("../../sql/queries/backup/extensions.sql");

/// Half a checksum tells two definitions apart, and keeps a manifest short.
const OBJECT_DIGITS: usize = 32;

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub tables: BTreeMap<String, TableRows>,
    pub tenants: Vec<TenantSummary>,
    pub sequences: BTreeMap<String, i64>,
    pub objects: BTreeMap<String, String>,
    pub extensions: BTreeMap<String, String>,
    pub audit: Option<AuditHead>,
}

impl Contents {
    /// Reads every row of every table.
    pub async fn read(snapshot: &WholeSnapshot<'_>, tell: &(dyn Fn(Step) + Sync)) -> Result<Self, BackupError> {
        // The catalog is not read by the snapshot alone, so this is nearest to its moment now.
        let objects = objects(snapshot).await?;
        let sequences = snapshot.query(SEQUENCES, &[]).await?;
        let sequences = sequences.iter().map(|row| pair(row, "last_value")).collect::<Result<_, _>>()?;
        let extensions = snapshot.query(EXTENSIONS, &[]).await?;
        let extensions = extensions.iter().map(|row| pair(row, "version")).collect::<Result<_, _>>()?;
        let mut tables = BTreeMap::new();
        for row in snapshot.query(TABLES, &[]).await? {
            let table: String = row.try_get("name").map_err(DbError::from)?;
            tell(Step::Summing { table: table.clone() });
            let rows = rows_of(snapshot, &table).await?;
            tables.insert(table, rows);
        }
        let tenants = snapshot.query(TENANTS, &[]).await?;
        let tenants = tenants.iter().map(|row| tenant(row, &tables)).collect::<Result<_, _>>()?;
        let audit = snapshot.query(LAST_SEAL, &[]).await?.first().map(head).transpose()?;
        Ok(Self { tables, tenants, sequences, objects, extensions, audit })
    }
}

async fn rows_of(snapshot: &WholeSnapshot<'_>, table: &str) -> Result<TableRows, DbError> {
    let mut all = TableRows::default();
    for row in snapshot.query(ROWS, &[&table]).await? {
        let tenant: Option<Uuid> = row.try_get("tenant_id")?;
        let rows = Rows { rows: row.try_get("row_count")?, checksum: row.try_get("checksum")? };
        all.rows += rows.rows;
        all.tenants.insert(tenant.map_or_else(String::new, |id| id.to_string()), rows);
    }
    Ok(all)
}

async fn objects(snapshot: &WholeSnapshot<'_>) -> Result<BTreeMap<String, String>, DbError> {
    let mut objects = BTreeMap::new();
    for row in snapshot.query(OBJECTS, &[]).await? {
        let (kind, name): (String, String) = (row.try_get("kind")?, row.try_get("name")?);
        let definition: String = row.try_get("definition")?;
        let mut digits = Hash::of(Sha256::new_with_prefix(definition)).to_string();
        digits.truncate(OBJECT_DIGITS);
        objects.insert(format!("{kind} {name}"), digits);
    }
    Ok(objects)
}

fn pair<T>(row: &Row, value: &str) -> Result<(String, T), DbError>
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    Ok((row.try_get("name")?, row.try_get(value)?))
}

fn tenant(row: &Row, tables: &BTreeMap<String, TableRows>) -> Result<TenantSummary, DbError> {
    let id: Uuid = row.try_get("id")?;
    let (rows, sha256) = of_tenant(tables, id);
    Ok(TenantSummary {
        id,
        slug: row.try_get("slug")?,
        name: row.try_get("name")?,
        status: row.try_get("status")?,
        rows,
        sha256,
    })
}

fn head(row: &Row) -> Result<AuditHead, DbError> {
    let head: Vec<u8> = row.try_get("head")?;
    let head = head.try_into().map_err(|_| DbError::Other("a head that is no SHA-256".to_owned()))?;
    Ok(AuditHead { seal_no: row.try_get("seal_no")?, head: Hash(head) })
}
