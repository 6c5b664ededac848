use clap::Args;
use tokio_postgres::Client;

use super::output::{Format, Output};
use super::{CommandError, Style};
use crate::call::Problems;
use crate::db::OwnerTransaction;
use crate::identity::TenantId;
use crate::trail::{self, Cursor, Filter, Wanted};

/// Rows that are asked for at once.
const PAGE_ROWS: usize = 1_000;

/// Which rows of whose trail, and how to print them.
#[derive(Debug, Args)]
pub(in crate::cli) struct AuditArguments {
    /// Whose trail (slug); "demo" on the program's own PostgreSQL
    #[arg(long, value_name = "SLUG")]
    pub tenant: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// Most rows
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Every row
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on where an earlier answer to the same filters ended (its next_cursor)
    #[arg(long)]
    cursor: Option<String>,
    /// As JSON, in the shape of the tool search_audit_log
    #[arg(long)]
    json: bool,
    /// As CSV with a header; a cell that a spreadsheet would take for a formula gets a ' in front
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Checked arguments.
pub(super) struct Request {
    filter: Filter,
    cursor: Option<Cursor>,
    /// Most rows; all if `None`.
    limit: Option<usize>,
    format: Format,
}

impl AuditArguments {
    /// Checks the filters.
    pub(super) fn checked(&self) -> Result<Request, CommandError> {
        let mut problems = Problems::default();
        let filter = Filter::checked(self.wanted.clone(), &mut problems);
        let decoded = self.cursor.as_deref().map(|text| Cursor::decode(text, &filter)).transpose();
        let cursor = decoded.unwrap_or_else(|problem| {
            problems.add("cursor", problem);
            None
        });
        problems.or(()).map_err(|problems| problems.to_string())?;
        let format = match (self.json, self.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => Format::Table(Style::of_stdout()),
        };
        let limit = (!self.all).then(|| usize::try_from(self.limit).unwrap_or(usize::MAX));
        Ok(Request { filter, cursor, limit, format })
    }
}

/// Prints the tenant's rows as they come, a page a transaction, so that a long answer keeps nobody waiting.
pub(super) async fn run(client: &Client, tenant_id: TenantId, request: Request) -> Result<(), CommandError> {
    let Request { filter, mut cursor, limit, format } = request;
    let mut output = Output::new(format);
    let mut left = limit.unwrap_or(usize::MAX);
    // What holds of the first page holds of all: a seal only moves on.
    let mut sealed_until = None;
    for page_no in 0.. {
        let transaction = OwnerTransaction::begin_reading(client, tenant_id).await?;
        let page = trail::page(&transaction, tenant_id, &filter, cursor, left.min(PAGE_ROWS)).await;
        let page = transaction.end(page).await?;
        if page_no == 0 {
            sealed_until = page.sealed_until;
        }
        left -= page.rows.len();
        if told(output.rows(&page.rows))?.is_none() {
            return Ok(());
        }
        if left == 0 || page.next_cursor.is_none() {
            told(output.end(page.next_cursor.as_deref(), sealed_until))?;
            return Ok(());
        }
        cursor = page.rows.last().map(Cursor::behind);
    }
    Ok(())
}

/// `None` if nobody reads any more, as behind `| head`.
fn told(written: std::io::Result<()>) -> Result<Option<()>, CommandError> {
    match written {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error.into()),
    }
}
