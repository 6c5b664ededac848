use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use super::record::Record;
use crate::db::{DbError, Parameter, TenantTransaction};

const COMPLETE: &str = include_str!("../../sql/queries/call/complete.sql");

/// Writes the row of a call that succeeded as its transaction's last statement, behind the one that its answer still needs, and commits.
/// Returns the rows of that.
pub(super) async fn complete(
    transaction: TenantTransaction,
    record: &Record,
    resource_id: Option<Uuid>,
    details: Map<String, Value>,
    before: Option<(&'static str, &[Parameter<'_>])>,
) -> Result<Vec<Row>, DbError> {
    let (details, duration_ms) = (Value::Object(details), record.duration_ms());
    let (rows, _id) = transaction
        .finish_behind(
            before,
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
    Ok(rows)
}
