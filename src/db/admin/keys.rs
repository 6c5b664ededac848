//! API keys, as their administrator sees them: never the key, only what tells one from another.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::as_owner;
use crate::db::{DbError, TenantStatus};
use crate::identity::{ApiKey, Scopes, TenantId, UserId};

const CREATE_KEY: &str = include_str!("../../../sql/queries/administration/create_key.sql");
const LIST_KEYS: &str = include_str!("../../../sql/queries/administration/list_keys.sql");
const FIND_KEYS: &str = include_str!("../../../sql/queries/administration/find_keys.sql");
const REVOKE_KEY: &str = include_str!("../../../sql/queries/administration/revoke_key.sql");

/// What a new key opens, for whom and until when.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The tenant's slug.
    pub tenant: String,
    /// Who will call with it.
    pub user_id: UserId,
    /// What it allows.
    pub scopes: Scopes,
    /// When it ends; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// How making a key ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It was made, with this id.
    Made(Uuid),
    /// Only active tenants get keys.
    Inactive(TenantStatus),
    /// There is no such tenant.
    NoTenant,
}

/// A key as `bailiwick key list` shows it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "columns of the same name")]
pub struct KeyRow {
    pub id: Uuid,
    pub prefix: String,
    pub tenant: String,
    #[serde(skip)]
    pub tenant_id: TenantId,
    pub user: String,
    pub scopes: Vec<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// `live`, `expired` or `revoked`.
    pub state: String,
}

/// How an administrator names a key; what matches in any way is meant.
#[derive(Debug, Clone, Default)]
pub struct KeyName {
    /// Its id.
    pub id: Option<Uuid>,
    /// The head of its prefix.
    pub prefix: Option<String>,
    /// SHA-256 of the key itself.
    pub sha256: Option<[u8; 32]>,
}

/// Stores a new key's hash for an active tenant.
///
/// # Errors
/// Any [`DbError`].
pub async fn create(client: &Client, key: &ApiKey, new: &NewKey) -> Result<Creation, DbError> {
    let NewKey { tenant, user_id, scopes, expires_at } = new;
    let (user, prefix, sha256, names) = (user_id.as_str(), key.prefix(), key.sha256(), scopes.names());
    let rows = as_owner(client, CREATE_KEY, &[tenant, &user, &prefix, &sha256.as_slice(), &names, expires_at]).await?;
    let Some(row) = rows.first() else { return Ok(Creation::NoTenant) };
    Ok(match row.try_get("id")? {
        Some(id) => Creation::Made(id),
        None => Creation::Inactive(TenantStatus::from_column(row.try_get("status")?)),
    })
}

/// The keys of one tenant or of all, oldest first within a tenant.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(client: &Client, tenant: Option<&str>) -> Result<Vec<KeyRow>, DbError> {
    as_owner(client, LIST_KEYS, &[&tenant]).await?.iter().map(key_row).collect()
}

/// The keys that a name means.
///
/// # Errors
/// Any [`DbError`].
pub async fn find(client: &Client, name: &KeyName) -> Result<Vec<KeyRow>, DbError> {
    let sha256 = name.sha256.as_ref().map(<[u8; 32]>::as_slice);
    as_owner(client, FIND_KEYS, &[&name.id, &name.prefix, &sha256]).await?.iter().map(key_row).collect()
}

/// Revokes a key for good; since when it has been revoked, which for one that already was is earlier. `None` if it is gone.
///
/// # Errors
/// Any [`DbError`].
pub async fn revoke(client: &Client, key: &KeyRow) -> Result<Option<Timestamp>, DbError> {
    let rows = as_owner(client, REVOKE_KEY, &[&key.tenant_id, &key.id]).await?;
    rows.first().map(|row| Ok(row.try_get("revoked_at")?)).transpose()
}

fn key_row(row: &Row) -> Result<KeyRow, DbError> {
    Ok(KeyRow {
        id: row.try_get("id")?,
        prefix: row.try_get("key_prefix")?,
        tenant: row.try_get("tenant")?,
        tenant_id: row.try_get("tenant_id")?,
        user: row.try_get("user_id")?,
        scopes: row.try_get("scopes")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at: row.try_get("revoked_at")?,
        state: row.try_get("state")?,
    })
}
