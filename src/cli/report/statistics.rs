use std::io::{self, Write};

use clap::Args;
use comfy_table::CellAlignment;
use serde::Serialize;
use tokio_postgres::Client;

use super::output::harmless;
use super::{CommandError, Style};
use crate::db::admin::{self, CountedTenant, TableSize, TenantStatistics};

/// Columns of the CSV; their order and names stay as they are.
const TENANT_COLUMNS: [&str; 9] = [
    "tenant",
    "name",
    "status",
    "document_count",
    "embedded_documents",
    "total_size_mb",
    "last_document_created",
    "monthly_cost_usd",
    "as_of",
];
const TABLE_COLUMNS: [&str; 6] = ["table", "partitions", "rows_estimate", "dead_rows", "table_bytes", "index_bytes"];

/// What to show, and how.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatisticsArguments {
    /// Count anew first, rather than show the last count (a server or `bailiwick maintain` counts every hour)
    #[arg(long)]
    refresh: bool,
    /// The tables alone
    #[arg(long)]
    tables: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// As CSV with a header, of the tenants or with --tables of the tables; a cell that a spreadsheet would take for a formula gets a ' in front
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenants: Option<Vec<CountedTenant>>,
    tables: Vec<TableSize>,
    database_bytes: i64,
}

/// Prints the overview.
pub(super) async fn run(client: &Client, arguments: &StatisticsArguments) -> Result<(), CommandError> {
    if arguments.refresh {
        admin::refresh_statistics(client).await?;
    }
    let tenants = match arguments.tables {
        true => None,
        false => Some(admin::tenant_statistics(client).await?),
    };
    let (tables, database_bytes) = admin::table_sizes(client).await?;
    let report = Report { tenants, tables, database_bytes };
    match (arguments.json, arguments.csv) {
        (true, _) => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?,
        (_, true) => csv(&report)?,
        _ => people(&report, Style::of_stdout())?,
    }
    Ok(())
}

fn csv(report: &Report) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(io::stdout());
    match &report.tenants {
        Some(tenants) => {
            writer.write_record(TENANT_COLUMNS)?;
            for line in tenants {
                writer.write_record(tenant_cells(line).map(harmless))?;
            }
        }
        None => {
            writer.write_record(TABLE_COLUMNS)?;
            for table in &report.tables {
                writer.write_record(table_cells(table).map(harmless))?;
            }
        }
    }
    writer.flush()
}

fn tenant_cells(line: &CountedTenant) -> [String; 9] {
    let counted = line.counted.as_ref();
    let cell = |value: fn(&TenantStatistics) -> String| counted.map(value).unwrap_or_default();
    [
        line.tenant.clone(),
        line.name.clone(),
        line.status.clone(),
        cell(|counted| counted.document_count.to_string()),
        cell(|counted| counted.embedded_documents.to_string()),
        cell(|counted| counted.total_size_mb.to_string()),
        cell(|counted| counted.last_document_created.map_or_else(String::new, |moment| moment.to_string())),
        cell(|counted| counted.monthly_cost_usd.to_string()),
        cell(|counted| counted.as_of.to_string()),
    ]
}

fn table_cells(table: &TableSize) -> [String; 6] {
    [
        table.table.clone(),
        table.partitions.to_string(),
        table.rows_estimate.to_string(),
        table.dead_rows.to_string(),
        table.table_bytes.to_string(),
        table.index_bytes.to_string(),
    ]
}

fn people(report: &Report, style: Style) -> io::Result<()> {
    let mut text = String::new();
    if let Some(tenants) = &report.tenants {
        let mut table = style.table(&["tenant", "status", "documents", "embedded", "MiB", "newest", "USD this month"]);
        for line in tenants {
            let [tenant, _, status, documents, embedded, size, newest, cost, _] = tenant_cells(line);
            // The second is enough for a person.
            let newest = newest.split_once('.').map_or(newest.clone(), |(second, _)| format!("{second}Z"));
            table.add_row([tenant, status, documents, embedded, size, newest, cost]);
        }
        for column in [2, 3, 4, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        text.push_str(&format!("{table}\n"));
        let as_of = tenants.iter().filter_map(|line| Some(line.counted.as_ref()?.as_of)).min();
        let told = as_of.map_or_else(
            || "Nothing is counted yet: --refresh counts.".to_owned(),
            |moment| format!("As of {}; --refresh counts anew.", moment.strftime("%Y-%m-%d %H:%M:%SZ")),
        );
        text.push_str(&format!("{}\n", style.dim(&told)));
    }
    let mut table = style.table(&["table", "partitions", "rows, about", "dead", "MiB", "MiB of indexes"]);
    for size in &report.tables {
        let [name, partitions, rows, dead, ..] = table_cells(size);
        table.add_row([name, partitions, rows, dead, mebibytes(size.table_bytes), mebibytes(size.index_bytes)]);
    }
    for column in 1..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    text.push_str(&format!("{table}\n"));
    let whole = format!("The whole database: {} MiB.", mebibytes(report.database_bytes));
    text.push_str(&format!("{}\n", style.dim(&whole)));
    io::stdout().write_all(text.as_bytes())
}

fn mebibytes(bytes: i64) -> String {
    format!("{:.1}", bytes as f64 / 1_048_576.0)
}
