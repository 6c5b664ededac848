use jiff::Timestamp;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::usd;
use crate::call::Failure;
use crate::db::{DbError, TenantTransaction};

const RESERVE: &str = include_str!("../../sql/queries/costs/reserve.sql");

/// What a paid operation may cost at the most.
#[derive(Debug, Clone, Default)]
pub struct Estimate {
    /// The model's provider.
    pub provider: String,
    /// The model, as `model_prices` names it.
    pub model_name: String,
    /// Tokens it is sent, at the most.
    pub input_tokens: i64,
    /// Tokens it writes, at the most.
    pub output_tokens: i64,
    /// Of `input_tokens`, those that are known to be in the provider's cache.
    pub cached_input_tokens: i64,
    /// The caller's own name for the operation: nothing is held for one that was carried out before.
    pub idempotency_key: Option<String>,
}

/// Whether money is held for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// It is, until the call is closed.
    Held,
    /// The model has no price, and the budget is not spent: there is nothing to hold.
    Unpriced,
    /// The operation was carried out before: there is nothing to hold.
    Repeated,
    /// It is not.
    Refused(Refusal),
}

/// The limit that is in the way. The display is for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whether what is spent leaves too little; otherwise calls under way hold what is left, and may give some of it back.
    pub is_exhausted: bool,
    /// `day` or `month`, in UTC.
    pub period: String,
    /// Whether the limit is of the one user.
    pub is_of_user: bool,
    /// The limit.
    pub limit_usd: Decimal,
    /// Spent in the period.
    pub spent_usd: Decimal,
    /// Held for calls under way.
    pub reserved_usd: Decimal,
    /// When the next period begins.
    pub renewed_at: Timestamp,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = if self.is_of_user { "your own" } else { "your organisation's" };
        let period = if self.period == "day" { "today" } else { "this month" };
        let (limit, spent, reserved) = (usd(self.limit_usd), usd(self.spent_usd), usd(self.reserved_usd));
        write!(f, "{whose} budget for {period} is {limit} USD, of which {spent} USD are spent")?;
        match self.is_exhausted {
            true => write!(
                f,
                " and too little is left for this. It begins anew at {}; the operator can raise it.",
                self.renewed_at
            ),
            false => write!(
                f,
                " and {reserved} USD held for calls under way, which may give some of it back: try again in 5 s."
            ),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::BudgetExceeded { told: refusal.to_string(), is_held: !refusal.is_exhausted }
    }
}

/// Holds what an operation may cost for a call that has an intent, if the tenant's limits and, with `binds_user`, the user's own
/// allow it. The statement is the transaction's last: it is committed.
///
/// # Errors
/// Any [`DbError`].
pub async fn reserve(
    transaction: TenantTransaction,
    call_id: Uuid,
    estimate: &Estimate,
    binds_user: bool,
) -> Result<Reservation, DbError> {
    let Estimate { provider, model_name, input_tokens, output_tokens, cached_input_tokens, idempotency_key } = estimate;
    let row = transaction
        .finish(
            RESERVE,
            &[
                &call_id,
                provider,
                model_name,
                input_tokens,
                output_tokens,
                &binds_user,
                cached_input_tokens,
                idempotency_key,
            ],
        )
        .await?;
    let outcome: &str = row.try_get("outcome")?;
    if outcome == "repeated" {
        return Ok(Reservation::Repeated);
    }
    if outcome == "reserved" {
        let is_priced: bool = row.try_get("is_priced")?;
        return Ok(if is_priced { Reservation::Held } else { Reservation::Unpriced });
    }
    Ok(Reservation::Refused(Refusal {
        is_exhausted: outcome == "exhausted",
        period: row.try_get("period")?,
        is_of_user: row.try_get("is_user")?,
        limit_usd: row.try_get("limit_usd")?,
        spent_usd: row.try_get("spent_usd")?,
        reserved_usd: row.try_get("reserved_usd")?,
        renewed_at: row.try_get("renewed_at")?,
    }))
}
