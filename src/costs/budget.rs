use rust_decimal::Decimal;

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const BUDGET: &str = include_str!("../../sql/queries/costs/budget.sql");

/// Percentage of the limit from which a budget warns, unless the tenant's settings say otherwise.
const WARNING_PERCENT: i64 = 90;

/// How a tenant stands in the current UTC month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The month's limit; `None` is unlimited.
    pub limit_usd: Option<Decimal>,
    /// Spent so far.
    pub spent_usd: Decimal,
    /// Held for calls under way.
    pub reserved_usd: Decimal,
    /// Spending at the month's end if it goes on at the same rate.
    pub forecast_month_end_usd: Decimal,
    /// Where that stands against the limit.
    pub status: BudgetStatus,
}

/// Where spending stands against its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetStatus {
    /// Below the warning threshold, or unlimited.
    Ok,
    /// At or above the warning threshold (90 % unless `budget_warning_percent` is set).
    Warning,
    /// At or above the limit.
    Exceeded,
}

impl BudgetStatus {
    /// The name that clients see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Exceeded => "EXCEEDED",
        }
    }

    /// Judges spending plus reservations against a limit.
    #[must_use]
    pub fn of(committed: Decimal, limit: Option<Decimal>, warning_percent: i64) -> Self {
        match limit {
            Some(limit) if committed >= limit => Self::Exceeded,
            Some(limit) if committed * Decimal::from(100) >= limit * Decimal::from(warning_percent) => Self::Warning,
            _ => Self::Ok,
        }
    }
}

impl Budget {
    /// Reads the tenant's budget.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn read(transaction: &TenantTransaction, tenant_id: TenantId) -> Result<Self, DbError> {
        let row = transaction.query_one(BUDGET, &[&tenant_id]).await?;
        let settings = &transaction.tenant().await?.settings;
        let warning_percent =
            settings.get("budget_warning_percent").and_then(serde_json::Value::as_i64).unwrap_or(WARNING_PERCENT);
        let (limit_usd, spent_usd, reserved_usd) =
            (row.try_get("limit_usd")?, row.try_get("spent_usd")?, row.try_get("reserved_usd")?);
        Ok(Self {
            limit_usd,
            spent_usd,
            reserved_usd,
            forecast_month_end_usd: row.try_get("forecast_usd")?,
            status: BudgetStatus::of(spent_usd + reserved_usd, limit_usd, warning_percent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_turns_at_ninety_and_at_a_hundred_percent() {
        let status = |spent: &str| BudgetStatus::of(spent.parse().unwrap(), Some(Decimal::from(50)), WARNING_PERCENT);
        assert_eq!(status("0"), BudgetStatus::Ok);
        assert_eq!(status("44.999999999999"), BudgetStatus::Ok);
        assert_eq!(status("45"), BudgetStatus::Warning);
        assert_eq!(status("49.999999999999"), BudgetStatus::Warning);
        assert_eq!(status("50"), BudgetStatus::Exceeded);
        assert_eq!(BudgetStatus::of(Decimal::MAX, None, WARNING_PERCENT), BudgetStatus::Ok);
    }
}
