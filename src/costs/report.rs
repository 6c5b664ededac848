use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio_postgres::Row;

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const REPORT: &str = include_str!("../../sql/queries/costs/report.sql");

/// What costs are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the column or calendar unit of its name")]
pub enum GroupKey {
    Day,
    Month,
    Model,
    Provider,
    User,
    Operation,
}

impl GroupKey {
    /// The name in tool arguments and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::User => "user",
            Self::Operation => "operation",
        }
    }
}

/// Sums over cost rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Number of cost rows.
    pub operations: i64,
    /// Tokens sent to models.
    pub input_tokens: i64,
    /// Tokens that models wrote.
    pub output_tokens: i64,
    /// Both.
    pub total_tokens: i64,
    /// USD for input.
    pub input_cost_usd: Decimal,
    /// USD for output.
    pub output_cost_usd: Decimal,
    /// Both.
    pub total_cost_usd: Decimal,
}

/// One group of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Values of the group's keys, in the order in which they were asked for.
    pub keys: Vec<String>,
    /// The group's sums.
    pub sums: Sums,
}

/// Costs of a period, grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// First instant of the period.
    pub from: Timestamp,
    /// The instant after its last.
    pub to: Timestamp,
    /// Groups in order of their keys.
    pub rows: Vec<ReportRow>,
    /// Whether there were more groups than asked for; the totals count them too.
    pub truncated: bool,
    /// Sums over the whole period.
    pub totals: Sums,
}

/// Sums the tenant's costs from `from` (default: the start of the UTC month) to before `to` (default: now) by one or
/// two keys, at most `limit` groups.
///
/// # Errors
/// Any [`DbError`].
pub async fn report(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    period: (Option<Timestamp>, Option<Timestamp>),
    keys: (GroupKey, Option<GroupKey>),
    limit: usize,
) -> Result<Report, DbError> {
    let (first, second) = (keys.0.name(), keys.1.map(GroupKey::name));
    // One more for the total, and one to see whether there are more.
    let most = i32::try_from(limit + 2).unwrap_or(i32::MAX);
    let found = transaction.query(REPORT, &[&tenant_id, &period.0, &period.1, &first, &second, &most]).await?;
    let (total, groups) = found.split_first().ok_or_else(|| DbError::Other("a report without its total".to_owned()))?;
    let rows = groups.iter().take(limit).map(|row| {
        let mut keys: Vec<String> = vec![row.try_get("first_key")?];
        keys.extend(row.try_get::<_, Option<String>>("second_key")?);
        Ok(ReportRow { keys, sums: sums(row)? })
    });
    Ok(Report {
        from: total.try_get("starts")?,
        to: total.try_get("ends")?,
        rows: rows.collect::<Result<_, DbError>>()?,
        truncated: groups.len() > limit,
        totals: sums(total)?,
    })
}

fn sums(row: &Row) -> Result<Sums, DbError> {
    Ok(Sums {
        operations: row.try_get("operations")?,
        input_tokens: row.try_get("input_tokens")?,
        output_tokens: row.try_get("output_tokens")?,
        total_tokens: row.try_get("total_tokens")?,
        input_cost_usd: row.try_get("input_cost")?,
        output_cost_usd: row.try_get("output_cost")?,
        total_cost_usd: row.try_get("total_cost")?,
    })
}
