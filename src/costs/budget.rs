use rust_decimal::Decimal;
use uuid::Uuid;

use crate::db::{DbError, TenantReader};
use crate::identity::{Caller, TenantId};

const BUDGET: &str = include_str!("../../sql/queries/costs/budget.sql");

/// How a tenant stands in the current UTC month, and where its limits stand that bind one of its users.
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
    /// Every limit that binds, the month's among them; the tenant's before the user's own.
    pub limits: Vec<Limit>,
}

/// A spending limit and what counts against it in the current UTC day or month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// `day` or `month`.
    pub period: String,
    /// Whether it is of the one user.
    pub is_of_user: bool,
    /// Whether what does not fit is refused; otherwise it is only told of.
    pub is_hard: bool,
    /// The limit.
    pub limit_usd: Decimal,
    /// From here on it warns.
    pub warning_usd: Decimal,
    /// Spent in the period.
    pub spent_usd: Decimal,
    /// Held for calls under way.
    pub reserved_usd: Decimal,
}

/// Where spending stands against its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BudgetStatus {
    /// Below the warning threshold, or unlimited.
    Ok,
    /// At or above the warning threshold (90 % unless the tenant's setting `budget.warning_percent` says otherwise).
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
}

impl Limit {
    /// Where spending plus reservations stand.
    #[must_use]
    pub fn status(&self) -> BudgetStatus {
        match self.spent_usd + self.reserved_usd {
            committed if committed >= self.limit_usd => BudgetStatus::Exceeded,
            committed if committed >= self.warning_usd => BudgetStatus::Warning,
            _ => BudgetStatus::Ok,
        }
    }
}

impl Budget {
    /// Reads the budget of a call's tenant, without what the call itself holds.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn read(reader: &impl TenantReader, caller: &Caller, call_id: Uuid) -> Result<Self, DbError> {
        Self::read_for(reader, caller.tenant_id, caller.user_id.as_str(), call_id).await
    }

    /// Reads a tenant's budget as nobody of its users: with the limits of the tenant alone.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn read_of_tenant(reader: &impl TenantReader, tenant_id: TenantId) -> Result<Self, DbError> {
        let mut budget = Self::read_for(reader, tenant_id, "", Uuid::nil()).await?;
        budget.limits.retain(|limit| !limit.is_of_user);
        Ok(budget)
    }

    async fn read_for(
        reader: &impl TenantReader,
        tenant_id: TenantId,
        user_id: &str,
        call_id: Uuid,
    ) -> Result<Self, DbError> {
        let rows = reader.rows(BUDGET, &[&tenant_id, &user_id, &call_id]).await?;
        let first = rows.first().ok_or_else(|| DbError::Other("a tenant without a row".to_owned()))?;
        let limits = rows.iter().filter_map(|row| match row.try_get::<_, Option<String>>("period") {
            Ok(period) => period.map(|period| {
                Ok(Limit {
                    period,
                    is_of_user: row.try_get("is_user")?,
                    is_hard: row.try_get("is_hard")?,
                    limit_usd: row.try_get("limit_usd")?,
                    warning_usd: row.try_get("warning_usd")?,
                    spent_usd: row.try_get("spent_usd")?,
                    reserved_usd: row.try_get("reserved_usd")?,
                })
            }),
            Err(error) => Some(Err(error.into())),
        });
        Ok(Self {
            limit_usd: first.try_get("month_limit_usd")?,
            spent_usd: first.try_get("month_spent_usd")?,
            reserved_usd: first.try_get("month_reserved_usd")?,
            forecast_month_end_usd: first.try_get("forecast_usd")?,
            limits: limits.collect::<Result<_, DbError>>()?,
        })
    }

    /// Where the limit stands that is nearest to being reached.
    #[must_use]
    pub fn status(&self) -> BudgetStatus {
        self.limits.iter().map(Limit::status).max().unwrap_or(BudgetStatus::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_turns_at_the_warning_and_at_the_limit() {
        let status = |spent: &str, reserved: &str| {
            let limit = Limit {
                period: "month".to_owned(),
                is_of_user: false,
                is_hard: true,
                limit_usd: Decimal::from(50),
                warning_usd: Decimal::from(45),
                spent_usd: spent.parse().unwrap(),
                reserved_usd: reserved.parse().unwrap(),
            };
            limit.status()
        };
        assert_eq!(status("0", "0"), BudgetStatus::Ok);
        assert_eq!(status("44", "0.999999999999"), BudgetStatus::Ok);
        assert_eq!(status("44", "1"), BudgetStatus::Warning);
        assert_eq!(status("49.999999999999", "0"), BudgetStatus::Warning);
        assert_eq!(status("50", "0"), BudgetStatus::Exceeded);
    }
}
