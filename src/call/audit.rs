use serde_json::{Map, Value};
use uuid::Uuid;

use super::record::Record;
use crate::db::{DbError, TenantTransaction};

const COMPLETE: &str = include_str!("../../sql/queries/call/complete.sql");

/// Writes the row of a call that succeeded as its transaction's last statement, and commits both.
pub(super) async fn complete(
    transaction: TenantTransaction,
    record: &Record,
    resource_id: Option<Uuid>,
    details: Map<String, Value>,
) -> Result<(), DbError> {
    let (details, duration_ms) = (Value::Object(details), record.duration_ms());
    transaction
        .finish(
            COMPLETE,
            &[
                &record.call_id,
                &record.started_at,
                &record.has_intent(),
                &record.action.name(),
                &record.resource,
                &resource_id,
                &details,
                &record.client.user_agent,
                &record.client.ip_address,
                &duration_ms,
            ],
        )
        .await?;
    Ok(())
}
