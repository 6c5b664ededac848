mod output;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::{self, Bound, Budget, GroupKey, Order, Question, Report};
use crate::identity::Scope;

pub use output::{Output, Row, SumsOutput};

/// Most groups of one answer.
const MOST_ROWS: usize = 200;
/// Longest name of a time zone that is looked up.
const LONGEST_ZONE_CHARS: usize = 64;

/// `cost_report`.
pub struct CostReport;

/// Arguments of `cost_report`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Start of the period, included: RFC 3339 (2026-03-01T00:00:00Z), or a date (2026-03-01), which begins at midnight of zone. The first of this month if absent.
    pub from: Option<String>,
    /// End of the period, excluded: RFC 3339 or a date, so that a whole month is from its first day to the first day of the next. Now if absent.
    pub to: Option<String>,
    /// Time zone of dates, days, weeks and months, by its IANA name, for example Asia/Seoul. UTC if absent.
    pub zone: Option<String>,
    /// One or two keys to group by, outer first; ["model"] if absent.
    #[schemars(length(min = 1, max = 2))]
    pub group_by: Option<Vec<GroupKey>>,
    /// key: groups in order of their keys; cost: the dearest first. key if absent.
    pub order_by: Option<Order>,
}

impl Tool for CostReport {
    type Input = Input;
    type Request = Question;
    type Output = Output;

    const NAME: &'static str = "cost_report";
    const TITLE: &'static str = "Report costs";
    const DESCRIPTION: &'static str = "Report what your organisation spent on models: tokens and USD, grouped by day, week, month, model, provider, user, \
operation or tool (one or two of them), with totals, averages per operation, the period of the same length before, and where this month's budget stands and is \
heading. For a trend group by day; to find what is expensive group by model, then by operation, with order_by cost.";
    const SCOPE: Scope = Scope::CostsRead;
    const ACTION: Action = Action::Report;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Question, Problems> {
        question(&input, MOST_ROWS)
    }

    fn describe(&self, question: &Question) -> Map<String, Value> {
        let keys: Vec<_> = [Some(question.keys.0), question.keys.1].into_iter().flatten().map(GroupKey::name).collect();
        Map::from_iter([("group_by".to_owned(), keys.into())])
    }

    async fn run(&self, call: &Call<'_>, question: &Question) -> Result<Answer<Output>, Failure> {
        let (transaction, tenant_id) = (call.transaction, call.caller.tenant_id);
        if !costs::is_zone(transaction, &question.zone).await.map_err(|error| call.failed(&error))? {
            return Err(Failure::InvalidInput(Problems::one("zone", unknown_zone(&question.zone))));
        }
        let (report, budget) = tokio::try_join!(
            costs::report(transaction, tenant_id, question),
            Budget::read(transaction, call.caller, call.id),
        )
        .map_err(|error| call.failed(&error))?;
        let report = not_empty(report).map_err(Failure::InvalidInput)?;
        let details = Map::from_iter([
            ("rows".to_owned(), report.rows.len().into()),
            ("budget_status".to_owned(), budget.status().name().into()),
        ]);
        let output = Output::new(report, &budget, &question.zone, question.keys, call.elapsed_ms());
        Ok(Answer::new(output).telling(details))
    }
}

/// Checks what is asked for, for the tool and for the command line.
///
/// # Errors
/// All that cannot be.
pub fn question(input: &Input, limit: usize) -> Result<Question, Problems> {
    let mut problems = Problems::default();
    let mut bound = |field: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        let bound = Bound::parse(text);
        if bound.is_some_and(|bound| !bound.is_reported()) {
            problems.add(field, format_args!("is {:?}; allowed is 1970-01-01 to 9999-01-01", shown(text)));
        }
        if bound.is_none() {
            problems.add(field, format_args!("is {:?}; allowed is RFC 3339 with an offset, like 2026-03-01T00:00:00Z, or a date, like 2026-03-01", shown(text)));
        }
        bound
    };
    let (from, to) = (bound("from", &input.from), bound("to", &input.to));
    let is_empty = match (from, to) {
        (Some(Bound::Instant(from)), Some(Bound::Instant(to))) => from >= to,
        (Some(Bound::Day(from)), Some(Bound::Day(to))) => from >= to,
        // What is of the zone, the database tells.
        _ => false,
    };
    if is_empty {
        problems.add("from", EMPTY);
    }
    let zone = input.zone.clone().unwrap_or_else(|| "UTC".to_owned());
    if zone.chars().count() > LONGEST_ZONE_CHARS || zone.contains('\0') {
        problems.add("zone", unknown_zone(&zone));
    }
    let keys = match input.group_by.as_deref() {
        None => (GroupKey::Model, None),
        Some([one]) => (*one, None),
        Some([one, two]) if one == two => {
            problems.add("group_by", "names the same key twice; give two different ones");
            (*one, None)
        }
        Some([one, two]) => (*one, Some(*two)),
        Some(other) => {
            problems.add("group_by", format_args!("has {} keys; allowed are one or two", other.len()));
            (GroupKey::Model, None)
        }
    };
    problems.or(Question { from, to, zone, keys, order: input.order_by.unwrap_or_default(), limit })
}

const EMPTY: &str = "is not before to, so the period is empty";

/// Refuses a period that turned out to have no moment.
///
/// # Errors
/// The problem.
pub fn not_empty(report: Report) -> Result<Report, Problems> {
    let (from, to) = (report.total.from, report.total.to);
    match from < to {
        true => Ok(report),
        false => Err(Problems::one("from", format_args!("is {from}, which {EMPTY}: that is {to}"))),
    }
}

/// What is said of a time zone that the database does not know.
pub fn unknown_zone(zone: &str) -> String {
    let shown = shown(zone);
    format!("is {shown:?}; allowed is the name of a time zone in the IANA database, like Asia/Seoul or UTC")
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
