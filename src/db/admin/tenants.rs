use rust_decimal::Decimal;
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use super::as_owner;
use crate::db::DbError;
use crate::identity::TenantId;
use crate::tenants::SettingsPatch;

const CHANGE_TENANT: &str = include_str!("../../../sql/queries/administration/change_tenant.sql");
const SHOW_TENANT: &str = include_str!("../../../sql/queries/administration/show_tenant.sql");

/// What to change of a tenant; what is `None` stays. The inner `None` of a limit is unlimited.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// Its name.
    pub name: Option<String>,
    /// `active` or `suspended`.
    pub status: Option<&'static str>,
    /// Spending limit of a UTC month.
    pub monthly_budget_usd: Option<Option<Decimal>>,
    /// Document quota.
    pub max_documents: Option<Option<i32>>,
    /// Storage quota in MiB.
    pub max_storage_mb: Option<Option<i32>>,
    /// Its settings.
    pub settings: Option<SettingsPatch>,
}

impl TenantChange {
    /// For the trail: what was changed, not to what.
    fn told(&self) -> Value {
        let fields = [
            ("name", self.name.is_some()),
            ("monthly_budget_usd", self.monthly_budget_usd.is_some()),
            ("max_documents", self.max_documents.is_some()),
            ("max_storage_mb", self.max_storage_mb.is_some()),
            ("settings", self.settings.is_some()),
        ];
        let fields: Vec<&str> = fields.iter().filter(|(_, is_changed)| *is_changed).map(|(name, _)| *name).collect();
        match self.status {
            Some(status) => serde_json::json!({ "fields": fields, "status": status }),
            None => serde_json::json!({ "fields": fields }),
        }
    }
}

/// Changes a tenant, with a row in its trail; `None` if there is none of that slug. A change of status binds from the next call on.
///
/// # Errors
/// [`DbError::RefusedValue`] for what the schema does not allow, and any other [`DbError`].
pub async fn change_tenant(client: &Client, slug: &str, change: &TenantChange) -> Result<Option<TenantId>, DbError> {
    let TenantChange { name, status, monthly_budget_usd, max_documents, max_storage_mb, settings } = change;
    let nothing = Value::Object(serde_json::Map::new());
    let settings = settings.as_ref().map_or(&nothing, SettingsPatch::as_json);
    let parameters: [crate::db::Parameter<'_>; 11] = [
        &slug,
        name,
        status,
        &monthly_budget_usd.is_some(),
        &monthly_budget_usd.flatten(),
        &max_documents.is_some(),
        &max_documents.flatten(),
        &max_storage_mb.is_some(),
        &max_storage_mb.flatten(),
        settings,
        &change.told(),
    ];
    let rows = as_owner(client, CHANGE_TENANT, &parameters).await?;
    rows.first().map(|row| Ok(TenantId::from(row.try_get::<_, Uuid>("id")?))).transpose()
}

/// All that is known of a tenant and its use, as JSON; `None` if there is none of that slug.
///
/// # Errors
/// Any [`DbError`].
pub async fn show_tenant(client: &Client, slug: &str) -> Result<Option<Value>, DbError> {
    let rows = as_owner(client, SHOW_TENANT, &[&slug]).await?;
    rows.first().map(|row| Ok(row.try_get("tenant")?)).transpose()
}
