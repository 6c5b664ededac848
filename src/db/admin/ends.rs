//! How tenants end: deleted, restored.

use jiff::Timestamp;
use tokio_postgres::Client;
use uuid::Uuid;

use super::as_owner;
use crate::db::DbError;
use crate::identity::TenantId;

const DELETE_TENANT: &str = include_str!("../../../sql/queries/administration/delete_tenant.sql");
const RESTORE_TENANT: &str = include_str!("../../../sql/queries/administration/restore_tenant.sql");
const STEP_ASIDE: &str = include_str!("../../../sql/queries/administration/step_aside.sql");
const TENANT_END: &str = include_str!("../../../sql/queries/administration/tenant_end.sql");

/// How far a tenant is with its end.
#[derive(Debug, Clone)]
pub struct TenantEnd {
    /// Its id.
    pub id: TenantId,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// Whether rows of it are gone already.
    pub is_being_purged: bool,
    /// The checksum of the file that it is imported from, if that was begun and not ended.
    pub import_sha256: Option<Vec<u8>>,
    /// From when on its rows are purged.
    pub purged_from: Option<Timestamp>,
}

/// Deletes a tenant, with a row in its trail: nobody gets in from now on, and its rows stay until they are purged. `None` if
/// there is none of that slug, or it is deleted already.
///
/// # Errors
/// Any [`DbError`].
pub async fn delete_tenant(client: &Client, slug: &str) -> Result<Option<TenantId>, DbError> {
    let rows = as_owner(client, DELETE_TENANT, &[&slug]).await?;
    rows.first().map(|row| Ok(TenantId::from(row.try_get::<_, Uuid>("id")?))).transpose()
}

/// Makes a deleted tenant what it was before, with a row in its trail; its status. `None` if there is none that can be restored.
///
/// # Errors
/// Any [`DbError`].
pub async fn restore_tenant(client: &Client, slug: &str) -> Result<Option<String>, DbError> {
    let rows = as_owner(client, RESTORE_TENANT, &[&slug]).await?;
    rows.first().map(|row| Ok(row.try_get("status")?)).transpose()
}

/// Gives a deleted tenant another name, with a row in its trail, so that its own is free; whether there was one.
///
/// # Errors
/// Any [`DbError`].
pub async fn step_aside(client: &Client, slug: &str, name: &str) -> Result<bool, DbError> {
    Ok(!as_owner(client, STEP_ASIDE, &[&slug, &name]).await?.is_empty())
}

/// How far a tenant is with its end, where deleted ones are kept for so many days; `None` if there is none of that slug.
///
/// # Errors
/// Any [`DbError`].
pub async fn tenant_end(client: &Client, slug: &str, purge_after_days: u16) -> Result<Option<TenantEnd>, DbError> {
    let rows = as_owner(client, TENANT_END, &[&slug, &i32::from(purge_after_days)]).await?;
    let read = |row: &tokio_postgres::Row| {
        Ok(TenantEnd {
            id: TenantId::from(row.try_get::<_, Uuid>("id")?),
            is_deleted: row.try_get::<_, String>("status")? == "deleted",
            is_being_purged: row.try_get("is_being_purged")?,
            import_sha256: row.try_get("import_sha256")?,
            purged_from: row.try_get("purged_from")?,
        })
    };
    rows.first().map(read).transpose()
}
