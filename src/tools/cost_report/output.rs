use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::costs::{Budget, GroupKey, Period, Report, Sums, usd};
use crate::tools::budget::BudgetOutput;

/// Answer of `cost_report`, and of `bailiwick report costs --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Start of the period, included.
    pub from: String,
    /// End of the period, excluded.
    pub to: String,
    /// Time zone of days, weeks and months.
    pub zone: String,
    /// There where rows and totals may be too low: costs of months that end by then are kept as sums by hour and day of UTC, and no longer by user,
    /// which is less than was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete_before: Option<String>,
    /// The groups, in the order asked for.
    pub rows: Vec<Row>,
    /// True if there were more than 200 groups; totals count them all.
    pub truncated: bool,
    /// Sums over the whole period.
    pub totals: SumsOutput,
    /// The period of the same length that ends where this one begins, and how this one compares.
    pub previous: Previous,
    /// The current UTC month's budget, whatever the period.
    pub budget: BudgetOutput,
    /// Time the report took, in milliseconds.
    pub duration_ms: f64,
}

/// Costs of one group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The group's value of each key, for example {"model": "gpt-4o"}; "unspecified" where an operation or tool was not named.
    pub group: Map<String, Value>,
    /// The group's sums.
    #[serde(flatten)]
    pub sums: SumsOutput,
}

/// Sums. Costs are decimal numbers in text, so that nothing rounds them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SumsOutput {
    /// Paid operations.
    pub operations: i64,
    /// Those of them whose model had no list price: they count as 0 USD, so costs are too low where this is not 0.
    pub unpriced_operations: i64,
    /// Tokens sent to models.
    pub input_tokens: i64,
    /// Those of them that providers had in their caches.
    pub cached_input_tokens: i64,
    /// Tokens that models wrote.
    pub output_tokens: i64,
    /// input_tokens and output_tokens.
    pub total_tokens: i64,
    /// USD for input, cached or not.
    pub input_cost_usd: String,
    /// USD for output.
    pub output_cost_usd: String,
    /// USD for both.
    pub total_cost_usd: String,
    /// USD of an operation on average, rounded to 12 decimals; absent without operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_cost_usd: Option<String>,
}

/// The period before.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Previous {
    /// Its start, included.
    pub from: String,
    /// Its end, excluded: the start of the period that was asked for.
    pub to: String,
    /// There where its costs may be too low, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete_before: Option<String>,
    /// Paid operations.
    pub operations: i64,
    /// Tokens sent and written.
    pub total_tokens: i64,
    /// USD that it cost.
    pub total_cost_usd: String,
    /// USD that the period asked for cost more; negative if less.
    pub change_usd: String,
    /// The same in percent of what the period before cost, to one decimal; absent if that was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_percent: Option<String>,
}

impl Output {
    /// Puts a report together.
    pub fn new(
        report: Report,
        budget: &Budget,
        zone: &str,
        keys: (GroupKey, Option<GroupKey>),
        duration_ms: f64,
    ) -> Self {
        let names: Vec<_> = [Some(keys.0), keys.1].into_iter().flatten().map(GroupKey::name).collect();
        let rows = report.rows.into_iter().map(|row| Row {
            group: names.iter().map(ToString::to_string).zip(row.keys.into_iter().map(Value::String)).collect(),
            sums: (&row.sums).into(),
        });
        Self {
            from: report.total.from.to_string(),
            to: report.total.to.to_string(),
            zone: zone.to_owned(),
            incomplete_before: report.total.incomplete_before.map(|moment| moment.to_string()),
            rows: rows.collect(),
            truncated: report.truncated,
            totals: (&report.total.sums).into(),
            previous: Previous::new(&report.before, &report.total.sums),
            budget: budget.into(),
            duration_ms,
        }
    }
}

impl Previous {
    fn new(before: &Period, now: &Sums) -> Self {
        let (was, is) = (before.sums.total_cost_usd, now.total_cost_usd);
        let percent = ((is - was) * rust_decimal::Decimal::ONE_HUNDRED).checked_div(was);
        Self {
            from: before.from.to_string(),
            to: before.to.to_string(),
            incomplete_before: before.incomplete_before.map(|moment| moment.to_string()),
            operations: before.sums.operations,
            total_tokens: before.sums.input_tokens + before.sums.output_tokens,
            total_cost_usd: usd(was),
            change_usd: usd(is - was),
            change_percent: percent.map(|percent| percent.round_dp(1).normalize().to_string()),
        }
    }
}

impl From<&Sums> for SumsOutput {
    fn from(sums: &Sums) -> Self {
        Self {
            operations: sums.operations,
            unpriced_operations: sums.unpriced_operations,
            input_tokens: sums.input_tokens,
            cached_input_tokens: sums.cached_input_tokens,
            output_tokens: sums.output_tokens,
            total_tokens: sums.input_tokens + sums.output_tokens,
            input_cost_usd: usd(sums.input_cost_usd),
            output_cost_usd: usd(sums.output_cost_usd),
            total_cost_usd: usd(sums.total_cost_usd),
            average_cost_usd: sums.average_cost_usd().map(usd),
        }
    }
}
