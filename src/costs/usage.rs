use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, TenantTransaction};
use crate::identity::Caller;

const RECORD: &str = include_str!("../../sql/queries/costs/record.sql");
const RECORD_EMBEDDING: &str = include_str!("../../sql/queries/costs/record_embedding.sql");
const KNOWN_MODELS: &str = include_str!("../../sql/queries/costs/known_models.sql");

/// Tokens that were spent on a model.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The model, as `model_prices` names it.
    pub model_name: String,
    /// Its provider.
    pub provider: String,
    /// Tokens sent.
    pub input_tokens: i32,
    /// Of those, the ones that the provider had in its cache.
    pub cached_input_tokens: i32,
    /// Tokens written.
    pub output_tokens: i32,
    /// What for.
    pub operation: Option<String>,
    /// By which tool.
    pub tool: Option<String>,
    /// Free JSON object.
    pub metadata: Value,
}

/// What a usage cost, as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// Number of the cost row.
    pub id: i64,
    /// USD for input.
    pub input_cost_usd: Decimal,
    /// USD for output.
    pub output_cost_usd: Decimal,
    /// Both.
    pub total_cost_usd: Decimal,
    /// Whether the model had a price; otherwise the row costs 0.
    pub is_priced: bool,
}

/// Prices a usage by the list price in force and writes its cost row; `None` if the model has no price and the tenant's settings do
/// not want it recorded without.
///
/// # Errors
/// Any [`DbError`].
pub async fn record(
    transaction: &TenantTransaction,
    caller: &Caller,
    call_id: Uuid,
    usage: &Usage,
) -> Result<Option<Priced>, DbError> {
    let user_id = caller.user_id.as_str();
    let rows = transaction
        .query(
            RECORD,
            &[
                &caller.tenant_id,
                &user_id,
                &call_id,
                &usage.provider,
                &usage.model_name,
                &usage.input_tokens,
                &usage.output_tokens,
                &usage.operation,
                &usage.metadata,
                &usage.cached_input_tokens,
                &usage.tool,
            ],
        )
        .await?;
    rows.first()
        .map(|row| {
            Ok(Priced {
                id: row.try_get("id")?,
                input_cost_usd: row.try_get("input_cost")?,
                output_cost_usd: row.try_get("output_cost")?,
                total_cost_usd: row.try_get("total_cost")?,
                is_priced: row.try_get("is_priced")?,
            })
        })
        .transpose()
}

/// Writes the cost row of tokens that a model of this server read; `None` if they have no price. What is `free` costs nothing;
/// with `allows_unpriced` what has no price is recorded at 0 USD and flagged.
///
/// # Errors
/// Any [`DbError`].
pub async fn record_embedding(
    transaction: &TenantTransaction,
    caller: &Caller,
    call_id: Uuid,
    usage: &Usage,
    free: bool,
    allows_unpriced: bool,
) -> Result<Option<Decimal>, DbError> {
    let user_id = caller.user_id.as_str();
    let rows = transaction
        .query(
            RECORD_EMBEDDING,
            &[
                &caller.tenant_id,
                &user_id,
                &call_id,
                &usage.provider,
                &usage.model_name,
                &usage.input_tokens,
                &usage.operation,
                &free,
                &allows_unpriced,
                &usage.tool,
            ],
        )
        .await?;
    rows.first().map(|row| Ok(row.try_get("total_cost")?)).transpose()
}

/// Models that have a price, as `provider/model`, those first whose names are most like the one that was asked for.
///
/// # Errors
/// Any [`DbError`].
pub async fn known_models(transaction: &TenantTransaction, usage: &Usage) -> Result<Vec<String>, DbError> {
    let rows = transaction.query(KNOWN_MODELS, &[&usage.provider, &usage.model_name]).await?;
    rows.iter()
        .map(|row| Ok(format!("{}/{}", row.try_get::<_, &str>("provider")?, row.try_get::<_, &str>("model_name")?)))
        .collect()
}
