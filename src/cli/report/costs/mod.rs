//! `bailiwick report costs`: what the tool `cost_report` answers, for the administrator's terminal.

mod plot;
mod print;

use std::time::Instant;

use clap::Args;
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::costs::{self, Budget, GroupKey, Order, Question, Sums};
use crate::db::OwnerTransaction;
use crate::db::admin::TenantRow;
use crate::identity::TenantId;
use crate::tools::cost_report::{Input, Output, not_empty, question, unknown_zone};

/// Groups of a table or of JSON, unless all are asked for; the tool has as many.
const MOST_ROWS: usize = 200;
/// "All", and those of CSV.
const ALL_ROWS: usize = 1_000_000;

/// Whose costs, which, and how to print them.
#[derive(Debug, Args)]
pub(in crate::cli) struct CostsArguments {
    /// Whose costs (slug, or the id of a tenant that was purged); "demo" on the program's own PostgreSQL
    #[arg(long, value_name = "SLUG")]
    pub tenant: Option<String>,
    /// Those of every tenant, one after the other, with their sum
    #[arg(long, conflicts_with = "tenant")]
    pub all_tenants: bool,
    /// Start, included: RFC 3339, or a date, which begins at midnight of the zone; the first of this month if absent
    #[arg(long, value_name = "DATE|RFC 3339")]
    from: Option<String>,
    /// End, excluded: RFC 3339 or a date; now if absent
    #[arg(long, value_name = "DATE|RFC 3339")]
    to: Option<String>,
    /// Time zone of dates, days, weeks and months, by its IANA name
    #[arg(long, value_name = "NAME", default_value = "UTC")]
    zone: String,
    /// One or two keys to group by, outer first
    #[arg(long, value_enum, value_delimiter = ',', default_value = "model")]
    by: Vec<GroupKey>,
    /// In order of the keys, or the dearest first
    #[arg(long, value_enum, default_value = "key")]
    order: Order,
    /// Every group, not only the first 200 (CSV always has all)
    #[arg(long)]
    all: bool,
    /// As JSON, in the shape of the tool cost_report
    #[arg(long)]
    json: bool,
    /// As CSV with a header; a cell that a spreadsheet would take for a formula gets a ' in front
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Table,
}

/// Checked arguments.
pub(super) struct Request {
    question: Question,
    format: Format,
    all_tenants: bool,
}

/// Whose costs are reported.
pub(super) struct Spender {
    id: TenantId,
    slug: String,
    is_deleted: bool,
}

impl Spender {
    /// One that is gone and named by its id.
    pub(super) fn purged(id: TenantId) -> Self {
        Self { id, slug: id.to_string(), is_deleted: true }
    }
}

impl From<TenantRow> for Spender {
    fn from(tenant: TenantRow) -> Self {
        Self { id: tenant.id, is_deleted: tenant.status == "deleted", slug: tenant.slug }
    }
}

/// A tenant's part of the answer.
struct Part {
    slug: String,
    sums: Sums,
    output: Output,
}

impl CostsArguments {
    /// Checks the period and the keys.
    pub(super) fn checked(&self) -> Result<Request, CommandError> {
        let format = match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => Format::Table,
        };
        let input = Input {
            from: self.from.clone(),
            to: self.to.clone(),
            zone: Some(self.zone.clone()),
            group_by: Some(self.by.clone()),
            order_by: Some(self.order),
        };
        let limit = if self.all || format == Format::Csv { ALL_ROWS } else { MOST_ROWS };
        let question = question(&input, limit).map_err(|problems| problems.to_string())?;
        Ok(Request { question, format, all_tenants: self.all_tenants })
    }
}

/// Reports and prints, a transaction a tenant.
pub(super) async fn run(client: &Client, tenants: Vec<Spender>, request: &Request) -> Result<(), CommandError> {
    let mut parts = Vec::new();
    for tenant in tenants {
        let part = report(client, &tenant, &request.question).await?;
        // Who is gone and spent nothing is none of the overview.
        if !(request.all_tenants && tenant.is_deleted && part.sums.operations == 0) {
            parts.push(part);
        }
    }
    let printed = match request.format {
        Format::Json => print::json(&parts, request.all_tenants),
        Format::Csv => print::csv(&parts, &request.question),
        Format::Table => print::tables(&parts, &request.question, request.all_tenants, Style::of_stdout()),
    };
    match printed {
        // Nobody reads any more, as behind `| head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

async fn report(client: &Client, tenant: &Spender, question: &Question) -> Result<Part, CommandError> {
    let started = Instant::now();
    let transaction = OwnerTransaction::begin_reading(client, tenant.id).await?;
    let read = async {
        if !costs::is_zone(&transaction, &question.zone).await? {
            return Ok(None);
        }
        let report = costs::report(&transaction, tenant.id, question).await?;
        Ok(Some((report, Budget::read_of_tenant(&transaction, tenant.id).await?)))
    }
    .await;
    let Some((report, budget)) = transaction.end(read).await? else {
        return Err(format!("--zone {}", unknown_zone(&question.zone)).into());
    };
    let report = not_empty(report).map_err(|problems| problems.to_string())?;
    let sums = report.total.sums.clone();
    let duration_ms = started.elapsed().as_secs_f64() * 1e3;
    let output = Output::new(report, &budget, &question.zone, question.keys, duration_ms);
    Ok(Part { slug: tenant.slug.clone(), sums, output })
}

fn key_names(question: &Question) -> Vec<&'static str> {
    [Some(question.keys.0), question.keys.1].into_iter().flatten().map(GroupKey::name).collect()
}

/// Whether the key is an axis of time.
fn is_time(key: GroupKey) -> bool {
    matches!(key, GroupKey::Day | GroupKey::Week | GroupKey::Month)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn keys_have_the_names_of_the_tool() {
        for key in GroupKey::value_variants() {
            assert_eq!(key.to_possible_value().unwrap().get_name(), key.name());
        }
    }
}
