use schemars::JsonSchema;
use serde::Serialize;

use crate::costs::{Budget, Limit, usd};

/// How the organisation stands in the current UTC month, with every limit that binds the caller.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BudgetOutput {
    /// The month's limit; absent if unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_usd: Option<String>,
    /// Spent so far this month.
    spent_usd: String,
    /// Held for calls under way.
    reserved_usd: String,
    /// OK, WARNING (from 90 % of a limit, unless the operator chose another share) or EXCEEDED (from 100 %): of the limit that is nearest to being reached.
    status: String,
    /// Spending at the month's end if it goes on at this month's rate: spent_usd, times the month's length, by the time that has passed of it (a day at least).
    forecast_month_end_usd: String,
    /// Every limit that binds you now, the month's among them.
    limits: Vec<LimitOutput>,
}

/// A spending limit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LimitOutput {
    /// day or month, in UTC.
    period: String,
    /// Whose: organisation or user (yourself).
    of: String,
    /// True if what does not fit is refused; false if it is only told of.
    hard: bool,
    /// The limit.
    limit_usd: String,
    /// Spent in the period.
    spent_usd: String,
    /// Held for calls under way.
    reserved_usd: String,
    /// OK, WARNING or EXCEEDED.
    status: String,
}

impl From<&Budget> for BudgetOutput {
    fn from(budget: &Budget) -> Self {
        Self {
            limit_usd: budget.limit_usd.map(usd),
            spent_usd: usd(budget.spent_usd),
            reserved_usd: usd(budget.reserved_usd),
            status: budget.status().name().to_owned(),
            forecast_month_end_usd: usd(budget.forecast_month_end_usd),
            limits: budget.limits.iter().map(LimitOutput::from).collect(),
        }
    }
}

impl BudgetOutput {
    /// In a line, for a person.
    pub fn told(&self) -> String {
        let limit = self.limit_usd.as_ref().map_or_else(|| "unlimited".to_owned(), |usd| format!("of {usd}"));
        format!(
            "This UTC month: {} USD {limit}, {} held, {}; {} by its end if it goes on like this",
            self.spent_usd, self.reserved_usd, self.status, self.forecast_month_end_usd
        )
    }
}

impl From<&Limit> for LimitOutput {
    fn from(limit: &Limit) -> Self {
        Self {
            period: limit.period.clone(),
            of: if limit.is_of_user { "user" } else { "organisation" }.to_owned(),
            hard: limit.is_hard,
            limit_usd: usd(limit.limit_usd),
            spent_usd: usd(limit.spent_usd),
            reserved_usd: usd(limit.reserved_usd),
            status: limit.status().name().to_owned(),
        }
    }
}
