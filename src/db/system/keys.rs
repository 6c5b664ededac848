use tokio_postgres::Row;
use uuid::Uuid;

use super::System;
use crate::db::{DbError, TenantStatus};
use crate::identity::{ApiKey, Principal, Scope, Scopes, TenantId, UserId};

const AUTHENTICATE_API_KEY: &str = include_str!("../../../sql/queries/system/authenticate_api_key.sql");
const NOTE_API_KEY_USE: &str = include_str!("../../../sql/queries/system/note_api_key_use.sql");

impl System {
    /// Whom a key stands for; `None` if there is no such key, or it was revoked or has expired. A key of a suspended
    /// tenant is found, and its status told.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn authenticate(&self, key: &ApiKey) -> Result<Option<Principal>, DbError> {
        let rows = self.query(AUTHENTICATE_API_KEY, &[&key.sha256().as_slice()]).await?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] => principal(row),
            // No unique key forbids it, so a row copied by hand can come to this: nobody can tell whose the key is.
            _ => {
                tracing::error!(%key, "two rows of api_keys have the hash of this key; it is refused");
                Ok(None)
            }
        }
    }

    /// Notes that a key is being used, unless that was noted within the last minute.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn note_key_use(&self, tenant_id: TenantId, key_id: Uuid) -> Result<(), DbError> {
        self.query(NOTE_API_KEY_USE, &[&tenant_id, &key_id]).await.map(drop)
    }
}

/// `None`, with a warning, if its user could not be written to the trail.
fn principal(row: &Row) -> Result<Option<Principal>, DbError> {
    let key_id: Uuid = row.try_get("key_id")?;
    let user_id = match UserId::parse(row.try_get("user_id")?) {
        Ok(user_id) => user_id,
        Err(error) => {
            tracing::warn!(key = %key_id, %error, "a key has no valid user; it is refused");
            return Ok(None);
        }
    };
    Ok(Some(Principal {
        tenant_id: TenantId::from(row.try_get::<_, Uuid>("tenant_id")?),
        tenant_slug: row.try_get("tenant_slug")?,
        tenant_status: TenantStatus::from_column(row.try_get("tenant_status")?),
        key_id,
        user_id,
        scopes: scopes(&row.try_get::<_, Vec<String>>("scopes")?, key_id),
        expires_at: row.try_get("expires_at")?,
    }))
}

/// The scopes that this program knows; others, perhaps of a newer one, allow nothing here.
fn scopes(names: &[String], key_id: Uuid) -> Scopes {
    let known = |name: &String| {
        let scope = Scope::ALL.into_iter().find(|scope| scope.name() == name);
        if scope.is_none() {
            tracing::warn!(key = %key_id, scope = ?name, "a key has an unknown scope; it allows nothing");
        }
        scope
    };
    names.iter().filter_map(known).collect()
}
