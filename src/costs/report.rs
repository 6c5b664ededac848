use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_postgres::Row;

use crate::db::{DbError, TenantReader};
use crate::identity::TenantId;

const REPORT: &str = include_str!("../../sql/queries/costs/report.sql");
const ZONE: &str = include_str!("../../sql/queries/costs/zone.sql");

/// A key to group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    /// Day of the time zone: 2026-03-01.
    Day,
    /// ISO 8601 week of the time zone, Monday to Sunday: 2026-W09.
    Week,
    /// Month of the time zone: 2026-03.
    Month,
    /// Model name.
    Model,
    /// Provider of the model.
    Provider,
    /// User or agent.
    User,
    /// What the tokens were spent for.
    Operation,
    /// The tool that spent them.
    Tool,
}

impl GroupKey {
    /// The name in tool arguments and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::User => "user",
            Self::Operation => "operation",
            Self::Tool => "tool",
        }
    }
}

/// In which order groups come, and so which are left out where there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By their keys.
    #[default]
    Key,
    /// The dearest first.
    Cost,
}

/// An edge of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This moment.
    Instant(Timestamp),
    /// The first moment of this day of the time zone.
    Day(Date),
}

impl Bound {
    /// Reads RFC 3339 with an offset, or a date.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(instant) = text.parse() {
            return Some(Self::Instant(instant));
        }
        // A civil date also parses from the head of a date-time; only a plain date may go without an offset.
        if text.len() > 10 { None } else { text.parse().ok().map(Self::Day) }
    }

    /// Whether it lies from 1970 to the first day of 9999, so that no zone takes it out of what the database and an answer can tell.
    #[must_use]
    pub fn is_reported(self) -> bool {
        const FIRST: Date = Date::constant(1970, 1, 1);
        const LAST: Date = Date::constant(9999, 1, 1);
        match self {
            Self::Instant(instant) => {
                let day = instant.to_zoned(TimeZone::UTC).datetime();
                day >= FIRST.into() && day <= LAST.into()
            }
            Self::Day(day) => (FIRST..=LAST).contains(&day),
        }
    }

    fn instant(self) -> Option<Timestamp> {
        if let Self::Instant(instant) = self { Some(instant) } else { None }
    }

    fn day(self) -> Option<Date> {
        if let Self::Day(day) = self { Some(day) } else { None }
    }
}

/// What to report.
#[derive(Debug, Clone)]
pub struct Question {
    /// Start, included; the first moment of this month of the zone if `None`.
    pub from: Option<Bound>,
    /// End, excluded; now if `None`.
    pub to: Option<Bound>,
    /// Time zone of days, weeks and months, by its name in the IANA database.
    pub zone: String,
    /// One or two keys to group by, outer first.
    pub keys: (GroupKey, Option<GroupKey>),
    /// In which order.
    pub order: Order,
    /// Most groups.
    pub limit: usize,
}

/// Sums over cost rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Number of cost rows.
    pub operations: i64,
    /// Of those, the ones whose model had no price: they cost 0 because nobody knows better.
    pub unpriced_operations: i64,
    /// Tokens sent to models.
    pub input_tokens: i64,
    /// Of those, the ones that providers had in their caches.
    pub cached_input_tokens: i64,
    /// Tokens that models wrote.
    pub output_tokens: i64,
    /// USD for input.
    pub input_cost_usd: Decimal,
    /// USD for output.
    pub output_cost_usd: Decimal,
    /// Both.
    pub total_cost_usd: Decimal,
}

impl Sums {
    /// USD of an operation on average, to twelve decimals; `None` if there was none.
    #[must_use]
    pub fn average_cost_usd(&self) -> Option<Decimal> {
        self.total_cost_usd.checked_div(self.operations.into()).map(|average| average.round_dp(12))
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.unpriced_operations += other.unpriced_operations;
        self.input_tokens += other.input_tokens;
        self.cached_input_tokens += other.cached_input_tokens;
        self.output_tokens += other.output_tokens;
        self.input_cost_usd += other.input_cost_usd;
        self.output_cost_usd += other.output_cost_usd;
        self.total_cost_usd += other.total_cost_usd;
    }
}

/// One group of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Values of the group's keys, in the order in which they were asked for.
    pub keys: Vec<String>,
    /// The group's sums.
    pub sums: Sums,
}

/// Sums of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its first instant.
    pub from: Timestamp,
    /// The instant after its last.
    pub to: Timestamp,
    /// Its sums.
    pub sums: Sums,
    /// Until when they and the groups may be too low, as rows or sums by user that they need were dropped by retention.
    pub incomplete_before: Option<Timestamp>,
}

/// Costs of a period, grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The whole period.
    pub total: Period,
    /// Groups in the order that was asked for.
    pub rows: Vec<ReportRow>,
    /// Whether there were more groups than asked for; the total counts them too.
    pub truncated: bool,
    /// The period of the same length before.
    pub before: Period,
}

/// Whether the database knows a time zone of that name.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_zone(reader: &impl TenantReader, zone: &str) -> Result<bool, DbError> {
    // Known to every database, and looking up the others takes it some milliseconds.
    if zone == "UTC" {
        return Ok(true);
    }
    reader.rows(ZONE, &[&zone]).await?.first().map_or(Ok(false), |row| Ok(row.try_get("is_known")?))
}

/// Sums the tenant's costs. The zone must be [known](is_zone).
///
/// # Errors
/// Any [`DbError`].
pub async fn report(reader: &impl TenantReader, tenant_id: TenantId, question: &Question) -> Result<Report, DbError> {
    let grouped = ask(reader, tenant_id, question, Some(question.keys), question.limit, false);
    let (found, before) = tokio::try_join!(grouped, ask(reader, tenant_id, question, None, 0, true))?;
    let total = |rows: &[Row]| rows.first().map(period).ok_or(DbError::Other("a report without its total".to_owned()));
    let (whole, before) = (total(&found)??, total(&before)??);
    let groups = found.get(1..).unwrap_or_default();
    let rows = groups.iter().take(question.limit).map(|row| {
        let mut keys: Vec<String> = vec![row.try_get("first_key")?];
        keys.extend(row.try_get::<_, Option<String>>("second_key")?);
        Ok(ReportRow { keys, sums: sums(row)? })
    });
    Ok(Report {
        total: whole,
        rows: rows.collect::<Result<_, DbError>>()?,
        truncated: groups.len() > question.limit,
        before,
    })
}

async fn ask(
    reader: &impl TenantReader,
    tenant_id: TenantId,
    question: &Question,
    keys: Option<(GroupKey, Option<GroupKey>)>,
    limit: usize,
    is_before: bool,
) -> Result<Vec<Row>, DbError> {
    let Question { from, to, zone, order, .. } = question;
    let first = keys.map(|(first, _)| first.name());
    let second = keys.and_then(|(_, second)| second).map(GroupKey::name);
    // One more for the total, and one to see whether there are more.
    let most = i32::try_from(limit + 2).unwrap_or(i32::MAX);
    let (from, from_day) = (from.and_then(Bound::instant), from.and_then(Bound::day));
    let (to, to_day) = (to.and_then(Bound::instant), to.and_then(Bound::day));
    let by_cost = *order == Order::Cost;
    reader
        .rows(REPORT, &[&tenant_id, &from, &from_day, &to, &to_day, zone, &first, &second, &most, &is_before, &by_cost])
        .await
}

fn period(row: &Row) -> Result<Period, DbError> {
    Ok(Period {
        from: row.try_get("starts")?,
        to: row.try_get("ends")?,
        sums: sums(row)?,
        incomplete_before: row.try_get("incomplete_before")?,
    })
}

fn sums(row: &Row) -> Result<Sums, DbError> {
    Ok(Sums {
        operations: row.try_get("operations")?,
        unpriced_operations: row.try_get("unpriced")?,
        input_tokens: row.try_get("input_tokens")?,
        cached_input_tokens: row.try_get("cached_input_tokens")?,
        output_tokens: row.try_get("output_tokens")?,
        input_cost_usd: row.try_get("input_cost")?,
        output_cost_usd: row.try_get("output_cost")?,
        total_cost_usd: row.try_get("total_cost")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_moments_or_days() {
        let instant = "2026-03-01T00:00:00Z".parse().unwrap();
        assert_eq!(Bound::parse("2026-03-01T09:00:00+09:00"), Some(Bound::Instant(instant)));
        assert_eq!(Bound::parse("2028-02-29"), Some(Bound::Day(Date::constant(2028, 2, 29))));
        for bad in ["2026-02-29", "2026-03-01T00:00:00", "2026-03", "last week", "", "20260301T000000"] {
            assert_eq!(Bound::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn averages_are_of_operations() {
        let sums = Sums { operations: 3, total_cost_usd: Decimal::ONE, ..Sums::default() };
        assert_eq!(sums.average_cost_usd(), Some("0.333333333333".parse().unwrap()));
        assert_eq!(Sums::default().average_cost_usd(), None);
    }
}
