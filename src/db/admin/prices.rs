//! The list of prices, which only grows.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Client;

use super::as_owner;
use crate::costs::prices::Price;
use crate::db::DbError;

const LIST: &str = include_str!("../../../sql/queries/administration/list_prices.sql");
const JUDGE: &str = include_str!("../../../sql/queries/administration/judge_prices.sql");
const ADD: &str = include_str!("../../../sql/queries/administration/add_prices.sql");

/// A price as `bailiwick prices list` shows it, in the columns that `prices import` reads.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "columns of the same name")]
pub struct PriceRow {
    pub provider: String,
    pub model_name: String,
    pub input_usd_per_million: Decimal,
    pub output_usd_per_million: Decimal,
    pub cached_input_usd_per_million: Option<Decimal>,
    pub effective_from: Timestamp,
    pub source: String,
    pub noted_on: Date,
    /// `in force`, `to come` or `past`.
    pub state: String,
}

/// The prices of a provider or a model, or of all; with `past` those too that others have followed.
///
/// # Errors
/// Any [`DbError`].
pub async fn list_prices(
    client: &Client,
    provider: Option<&str>,
    model_name: Option<&str>,
    past: bool,
) -> Result<Vec<PriceRow>, DbError> {
    let rows = as_owner(client, LIST, &[&provider, &model_name, &past]).await?;
    let usd = |usd: Decimal| usd.normalize();
    rows.iter()
        .map(|row| {
            Ok(PriceRow {
                provider: row.try_get("provider")?,
                model_name: row.try_get("model_name")?,
                input_usd_per_million: usd(row.try_get("input_usd_per_million")?),
                output_usd_per_million: usd(row.try_get("output_usd_per_million")?),
                cached_input_usd_per_million: row
                    .try_get::<_, Option<Decimal>>("cached_input_usd_per_million")?
                    .map(usd),
                effective_from: row.try_get("effective_from")?,
                source: row.try_get("source")?,
                noted_on: row.try_get("noted_on")?,
                state: row.try_get("state")?,
            })
        })
        .collect()
}

/// What stands in the list where a price would go.
#[derive(Debug, Clone)]
pub struct Standing {
    /// From when on it would be in force.
    pub effective_from: Timestamp,
    /// Whether that model has a price from that very moment on, and if so whether it is this one.
    pub known: Option<bool>,
    /// The price that it would follow, and since when that is in force.
    pub before: Option<(Price, Timestamp)>,
}

/// Looks where these prices would go.
///
/// # Errors
/// Any [`DbError`].
pub async fn judge_prices(client: &Client, prices: &[Price]) -> Result<Vec<Standing>, DbError> {
    let given: Value = prices.iter().enumerate().map(|(no, price)| price.as_json(no)).collect();
    let rows = as_owner(client, JUDGE, &[&given]).await?;
    rows.iter()
        .zip(prices)
        .map(|(row, price)| {
            let before = match row.try_get::<_, Option<Timestamp>>("before_from")? {
                None => None,
                Some(since) => {
                    let before = Price {
                        input: row.try_get("before_input")?,
                        output: row.try_get("before_output")?,
                        cached_input: row.try_get("before_cached_input")?,
                        ..price.clone()
                    };
                    Some((before, since))
                }
            };
            let is_known: bool = row.try_get("is_known")?;
            let known = if is_known { Some(row.try_get("is_same")?) } else { None };
            Ok(Standing { effective_from: row.try_get("effective_from")?, known, before })
        })
        .collect()
}

/// Adds prices, with a row in the trail of every tenant; returns how many.
///
/// # Errors
/// Any [`DbError`]; nothing is added then.
pub async fn add_prices(client: &Client, prices: &[Price], told: &Value) -> Result<i64, DbError> {
    let given: Value = prices.iter().enumerate().map(|(no, price)| price.as_json(no)).collect();
    let rows = as_owner(client, ADD, &[&given, told]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get("added")?))
}
