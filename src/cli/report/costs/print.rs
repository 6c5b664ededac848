use std::io::{self, Write};

use comfy_table::CellAlignment;
use serde_json::{Value, json};

use super::super::output::harmless;
use super::{Part, key_names, plot};
use crate::cli::Style;
use crate::costs::{Question, Sums};
use crate::tools::cost_report::{Output, Row, SumsOutput};

/// Columns of the CSV behind tenant and keys; their order and names stay as they are.
const COLUMNS: [&str; 10] = [
    "operations",
    "unpriced_operations",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "total_tokens",
    "input_cost_usd",
    "output_cost_usd",
    "total_cost_usd",
    "average_cost_usd",
];

/// As the tool answers; of all tenants a list of such answers, each with its tenant, and their sum.
pub(super) fn json(parts: &[Part], all_tenants: bool) -> io::Result<()> {
    let value = match (all_tenants, parts) {
        (false, [part]) => json!(part.output),
        _ => {
            let answers = parts.iter().map(|part| {
                let mut answer = json!(part.output);
                answer["tenant"] = json!(part.slug);
                answer
            });
            let answers: Vec<Value> = answers.collect();
            json!({ "tenants": answers, "totals": SumsOutput::from(&sum(parts)) })
        }
    };
    writeln!(io::stdout(), "{value:#}")
}

/// A line for each group of each tenant.
pub(super) fn csv(parts: &[Part], question: &Question) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(io::stdout());
    let heads = std::iter::once("tenant").chain(key_names(question)).chain(COLUMNS);
    writer.write_record(heads)?;
    for part in parts {
        for row in &part.output.rows {
            let cells = std::iter::once(part.slug.clone()).chain(keys(row, question)).chain(cells(&row.sums));
            writer.write_record(cells.map(harmless))?;
        }
    }
    writer.flush()?;
    // Beside the lines, which a program reads.
    for part in parts {
        if let Some(moment) = &part.output.incomplete_before {
            writeln!(io::stderr(), "{}: {}", part.slug, incomplete("this report is", moment))?;
        }
    }
    Ok(())
}

/// A group's values in the order of the keys, which JSON objects do not keep.
fn keys(row: &Row, question: &Question) -> Vec<String> {
    let value = |name| row.group.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    key_names(question).into_iter().map(value).collect()
}

fn cells(sums: &SumsOutput) -> [String; 10] {
    [
        sums.operations.to_string(),
        sums.unpriced_operations.to_string(),
        sums.input_tokens.to_string(),
        sums.cached_input_tokens.to_string(),
        sums.output_tokens.to_string(),
        sums.total_tokens.to_string(),
        sums.input_cost_usd.clone(),
        sums.output_cost_usd.clone(),
        sums.total_cost_usd.clone(),
        sums.average_cost_usd.clone().unwrap_or_default(),
    ]
}

/// For a person: a table and a plot a tenant, with what they add up to.
pub(super) fn tables(parts: &[Part], question: &Question, all_tenants: bool, style: Style) -> io::Result<()> {
    let mut text = String::new();
    for part in parts {
        let Output { from, to, zone, .. } = &part.output;
        text.push_str(&format!("{}\n", style.heading(&format!("{}: costs from {from} to {to} ({zone})", part.slug))));
        if part.output.rows.is_empty() {
            text.push_str("nothing was spent\n");
        } else {
            text.push_str(&format!("{}\n", table(&part.output, question, style)));
            text.push_str(&plot::of(&part.output, question.keys.0));
        }
        text.push_str(&below(&part.output, style));
        text.push('\n');
    }
    if all_tenants {
        let sum = SumsOutput::from(&sum(parts));
        let told = format!("all {} tenants: {} USD, {} operations", parts.len(), sum.total_cost_usd, sum.operations);
        text.push_str(&format!("{}\n", style.heading(&told)));
    }
    io::stdout().write_all(text.as_bytes())
}

fn table(output: &Output, question: &Question, style: Style) -> comfy_table::Table {
    let names = key_names(question);
    let heads: Vec<&str> =
        names.iter().copied().chain(["operations", "tokens in", "cached", "tokens out", "USD", "USD each"]).collect();
    let mut table = style.table(&heads);
    for at in names.len()..heads.len() {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut line = |keys: Vec<String>, sums: &SumsOutput| {
        let cells = [
            sums.operations.to_string(),
            sums.input_tokens.to_string(),
            sums.cached_input_tokens.to_string(),
            sums.output_tokens.to_string(),
            sums.total_cost_usd.clone(),
            sums.average_cost_usd.clone().unwrap_or_default(),
        ];
        table.add_row(keys.into_iter().chain(cells));
    };
    for row in &output.rows {
        line(keys(row, question), &row.sums);
    }
    let mut total = vec![String::new(); names.len()];
    total[0] = "total".to_owned();
    line(total, &output.totals);
    table
}

fn below(output: &Output, style: Style) -> String {
    let mut lines = Vec::new();
    if output.truncated {
        lines.push(style.dim("There are more groups: --all shows them; the total counts them."));
    }
    if output.totals.unpriced_operations > 0 {
        let told = format!(
            "{} operations had no price and count as 0 USD: `bailiwick prices set` gives their model one from now on.",
            output.totals.unpriced_operations
        );
        lines.push(style.bad(&told));
    }
    if let Some(moment) = &output.incomplete_before {
        lines.push(style.bad(&incomplete("This report is", moment)));
    }
    let previous = &output.previous;
    if let Some(moment) = &previous.incomplete_before {
        lines.push(style.bad(&incomplete("The period before is", moment)));
    }
    let percent = previous.change_percent.as_ref().map_or_else(String::new, |percent| format!(", {percent} %"));
    lines.push(format!(
        "As long before ({} to {}): {} USD, {} operations; change {} USD{percent}",
        previous.from, previous.to, previous.total_cost_usd, previous.operations, previous.change_usd
    ));
    lines.push(output.budget.told());
    lines.join("\n") + "\n"
}

fn incomplete(what: &str, moment: &str) -> String {
    format!(
        "{what} incomplete before {moment}: costs from before are kept as sums by hour and day of UTC, not by user, so these are too low."
    )
}

fn sum(parts: &[Part]) -> Sums {
    parts.iter().fold(Sums::default(), |mut sum, part| {
        sum.add(&part.sums);
        sum
    })
}
