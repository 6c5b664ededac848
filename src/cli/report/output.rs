use std::io::{self, Write};

use comfy_table::{ColumnConstraint, Table};
use jiff::Timestamp;

use super::Style;
use crate::trail::Entry;

/// Columns of the CSV; their order and names stay as they are.
const COLUMNS: [&str; 13] = [
    "call_id",
    "started_at",
    "completed_at",
    "user",
    "action",
    "resource",
    "resource_id",
    "outcome",
    "error",
    "details",
    "client",
    "ip_address",
    "duration_ms",
];

/// How to print rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format {
    Json,
    Csv,
    Table(Style),
}

/// Rows on their way to stdout. JSON and CSV are written as they come; a table must know its widest cells.
pub(super) struct Output {
    format: Format,
    stdout: io::Stdout,
    table: Table,
    rows: usize,
}

impl Output {
    pub fn new(format: Format) -> Self {
        let heads = ["completed", "user", "action", "resource", "outcome", "error", "ms", "call"];
        let mut table = if let Format::Table(style) = format { style.table(&heads) } else { Table::new() };
        if let Some(call) = table.column_mut(heads.len() - 1) {
            // In one piece it can be copied.
            call.set_constraint(ColumnConstraint::ContentWidth);
        }
        Self { format, stdout: io::stdout(), table, rows: 0 }
    }

    /// Takes the next rows.
    pub fn rows(&mut self, rows: &[Entry]) -> io::Result<()> {
        let first = self.rows == 0;
        self.rows += rows.len();
        match self.format {
            Format::Json => {
                let mut text = if first { "{\"rows\": [".to_owned() } else { String::new() };
                for (index, row) in rows.iter().enumerate() {
                    text.push_str(if first && index == 0 { "\n  " } else { ",\n  " });
                    text.push_str(&serde_json::to_string(row)?);
                }
                self.stdout.write_all(text.as_bytes())
            }
            Format::Csv => self.stdout.write_all(&csv(rows, first)?),
            Format::Table(style) => {
                for row in rows {
                    self.table.add_row(table_row(row, style));
                }
                Ok(())
            }
        }
    }

    /// Ends the output: where to go on, if there is more, and until when the trail is sealed.
    pub fn end(&mut self, next_cursor: Option<&str>, sealed_until: Option<Timestamp>) -> io::Result<()> {
        let mut text = String::new();
        match self.format {
            Format::Json => {
                text.push_str(if self.rows == 0 { "]" } else { "\n]" });
                if let Some(cursor) = next_cursor {
                    text.push_str(&format!(", \"next_cursor\": \"{cursor}\""));
                }
                if let Some(until) = sealed_until {
                    text.push_str(&format!(", \"sealed_until\": \"{until}\""));
                }
                text.push_str("}\n");
            }
            Format::Csv => {}
            Format::Table(_) if self.rows == 0 => text.push_str("no call passes\n"),
            Format::Table(style) => {
                text = format!("{}\n", self.table);
                if let Some(cursor) = next_cursor {
                    let more = format!("There are older rows: --all shows them, --cursor {cursor} goes on here.");
                    text.push_str(&format!("{}\n", style.dim(&more)));
                }
                let seal = sealed_until.map_or_else(
                    || "Nothing is sealed yet.".to_owned(),
                    |until| {
                        format!("Sealed until {until}: what ended before is all there and cannot change unnoticed.")
                    },
                );
                text.push_str(&format!("{}\n", style.dim(&seal)));
            }
        }
        self.stdout.write_all(text.as_bytes())?;
        self.stdout.flush()
    }
}

fn table_row(row: &Entry, style: Style) -> [String; 8] {
    let outcome = if row.outcome == "ok" { style.good(&row.outcome) } else { style.bad(&row.outcome) };
    [
        // The second is enough for a person.
        row.completed_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        row.user.clone(),
        row.action.clone(),
        row.resource.as_deref().map_or_else(String::new, |name| name.trim_start_matches("tools/").to_owned()),
        outcome,
        row.error.clone().unwrap_or_default(),
        row.duration_ms.map_or_else(String::new, |ms| ms.to_string()),
        row.call_id.to_string(),
    ]
}

fn csv(rows: &[Entry], with_header: bool) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer.write_record(COLUMNS)?;
    }
    for row in rows {
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        let cells = [
            row.call_id.to_string(),
            row.started_at.to_string(),
            row.completed_at.to_string(),
            row.user.clone(),
            row.action.clone(),
            optional(&row.resource),
            row.resource_id.map_or_else(String::new, |id| id.to_string()),
            row.outcome.clone(),
            optional(&row.error),
            serde_json::to_string(&row.details)?,
            optional(&row.client),
            optional(&row.ip_address),
            row.duration_ms.map_or_else(String::new, |ms| ms.to_string()),
        ];
        writer.write_record(cells.map(harmless))?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

/// A cell that no spreadsheet takes for a formula.
pub(super) fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(harmless(text.to_owned()), format!("'{text}"));
        }
        assert_eq!(harmless("a=b".to_owned()), "a=b");
        assert_eq!(harmless(String::new()), "");
    }
}
