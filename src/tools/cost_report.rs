use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::budget::BudgetOutput;
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::{self, Budget, GroupKey, ReportRow, Sums, usd};
use crate::identity::Scope;
use crate::search::filter::parse_instant;

/// Most groups of one answer.
const MOST_ROWS: usize = 200;

/// `cost_report`.
pub struct CostReport;

/// Arguments of `cost_report`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Start of the period, included: RFC 3339 (2026-03-01T00:00:00Z) or a UTC date (2026-03-01). The first of this UTC month if absent.
    from: Option<String>,
    /// End of the period, excluded: RFC 3339 or a UTC date. Now if absent.
    to: Option<String>,
    /// One or two keys to group by, outer first; ["model"] if absent.
    #[schemars(length(min = 1, max = 2))]
    group_by: Option<Vec<Key>>,
}

/// A key to group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// UTC day.
    Day,
    /// UTC month.
    Month,
    /// Model name.
    Model,
    /// Provider of the model.
    Provider,
    /// User or agent.
    User,
    /// What the tokens were spent for.
    Operation,
}

impl From<Key> for GroupKey {
    fn from(key: Key) -> Self {
        match key {
            Key::Day => Self::Day,
            Key::Month => Self::Month,
            Key::Model => Self::Model,
            Key::Provider => Self::Provider,
            Key::User => Self::User,
            Key::Operation => Self::Operation,
        }
    }
}

/// Answer of `cost_report`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Start of the period, included.
    from: String,
    /// End of the period, excluded.
    to: String,
    /// The groups, in order of their keys.
    rows: Vec<Row>,
    /// True if there were more than 200 groups; totals count them all.
    truncated: bool,
    /// Sums over the whole period.
    totals: SumsOutput,
    /// The current UTC month's budget, whatever the period.
    budget: BudgetOutput,
    /// Time the report took, in milliseconds.
    duration_ms: f64,
}

/// Costs of one group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The group's value of each key, for example {"model": "gpt-4o"}.
    group: Map<String, Value>,
    /// The group's sums.
    #[serde(flatten)]
    sums: SumsOutput,
}

/// Sums. Costs are decimal numbers in text, so that nothing rounds them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SumsOutput {
    /// Paid operations.
    operations: i64,
    /// Tokens sent to models.
    input_tokens: i64,
    /// Tokens that models wrote.
    output_tokens: i64,
    /// Both.
    total_tokens: i64,
    /// USD for input.
    input_cost_usd: String,
    /// USD for output.
    output_cost_usd: String,
    /// USD for both.
    total_cost_usd: String,
}

/// A checked period and grouping.
pub struct Request {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    keys: (GroupKey, Option<GroupKey>),
}

impl Tool for CostReport {
    type Input = Input;
    type Request = Request;
    type Output = Output;

    const NAME: &'static str = "cost_report";
    const TITLE: &'static str = "Report costs";
    const DESCRIPTION: &'static str = "Report what your organisation spent on models: tokens and USD, grouped by day, month, model, provider, user or \
operation (one or two of them), with totals and where this month's budget stands. \
For a trend group by day; to find what is expensive group by model, then by operation.";
    const SCOPE: Scope = Scope::CostsRead;
    const ACTION: Action = Action::Report;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        let mut instant = |field: &str, text: &Option<String>| {
            let text = text.as_deref()?;
            let instant = parse_instant(text);
            if instant.is_none() {
                let shown: String = text.chars().take(40).collect();
                problems.add(field, format_args!("is {shown:?}; allowed is RFC 3339 with an offset, like 2026-03-01T00:00:00Z, or a date, like 2026-03-01"));
            }
            instant
        };
        let (from, to) = (instant("from", &input.from), instant("to", &input.to));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            problems.add("from", "is not before to, so the period is empty");
        }
        let keys = match input.group_by.as_deref() {
            None => (GroupKey::Model, None),
            Some([one]) => ((*one).into(), None),
            Some([one, two]) if one == two => {
                problems.add("group_by", "names the same key twice; give two different ones");
                (GroupKey::Model, None)
            }
            Some([one, two]) => ((*one).into(), Some((*two).into())),
            Some(other) => {
                problems.add("group_by", format_args!("has {} keys; allowed are one or two", other.len()));
                (GroupKey::Model, None)
            }
        };
        problems.or(Request { from, to, keys })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let keys: Vec<_> = [Some(request.keys.0), request.keys.1].into_iter().flatten().map(GroupKey::name).collect();
        Map::from_iter([("group_by".to_owned(), keys.into())])
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let (transaction, tenant_id) = (call.transaction, call.caller.tenant_id);
        let (report, budget) = tokio::try_join!(
            costs::report(transaction, tenant_id, (request.from, request.to), request.keys, MOST_ROWS),
            Budget::read(transaction, call.caller, call.id),
        )
        .map_err(|error| call.failed(&error))?;
        let names = [Some(request.keys.0), request.keys.1];
        let details = Map::from_iter([
            ("rows".to_owned(), report.rows.len().into()),
            ("budget_status".to_owned(), budget.status().name().into()),
        ]);
        let output = Output {
            from: report.from.to_string(),
            to: report.to.to_string(),
            rows: report.rows.into_iter().map(|row| self::row(row, &names)).collect(),
            truncated: report.truncated,
            totals: report.totals.into(),
            budget: (&budget).into(),
            duration_ms: call.elapsed_ms(),
        };
        Ok(Answer { output, resource_id: None, details })
    }
}

fn row(row: ReportRow, keys: &[Option<GroupKey>; 2]) -> Row {
    let names = keys.iter().flatten().map(|key| key.name().to_owned());
    Row { group: names.zip(row.keys.into_iter().map(Value::String)).collect(), sums: row.sums.into() }
}

impl From<Sums> for SumsOutput {
    fn from(sums: Sums) -> Self {
        Self {
            operations: sums.operations,
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            total_tokens: sums.total_tokens,
            input_cost_usd: usd(sums.input_cost_usd),
            output_cost_usd: usd(sums.output_cost_usd),
            total_cost_usd: usd(sums.total_cost_usd),
        }
    }
}
