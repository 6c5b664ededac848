use uuid::Uuid;

use super::System;
use crate::db::DbError;
use crate::identity::TenantId;

const OPEN_BUDGET_ALERTS: &str = include_str!("../../../sql/queries/system/open_budget_alerts.sql");

impl System {
    /// Budget alerts that are to be told now: whose, and their ids.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn open_budget_alerts(&self) -> Result<Vec<(TenantId, Uuid)>, DbError> {
        let rows = self.query(OPEN_BUDGET_ALERTS, &[]).await?;
        rows.iter().map(|row| Ok((TenantId::from(row.try_get::<_, Uuid>("tenant_id")?), row.try_get("id")?))).collect()
    }
}
