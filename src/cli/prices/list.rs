use clap::Args;
use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, Style};
use crate::costs::usd;
use crate::db::admin::{self, PriceRow};

/// Which prices.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    /// Only this provider's
    #[arg(long)]
    provider: Option<String>,
    /// Only this model's
    #[arg(long)]
    model: Option<String>,
    /// Those too that others have followed
    #[arg(long)]
    all: bool,
    /// As JSON, which `prices import` reads
    #[arg(long)]
    json: bool,
    /// As CSV, which `prices import` reads
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Prints them.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(client: &Client, arguments: &ListArguments) -> Result<(), CommandError> {
    let ListArguments { provider, model, all, json, csv } = arguments;
    let rows = admin::list_prices(client, provider.as_deref(), model.as_deref(), *all).await?;
    if *json {
        println!("{:#}", json!({ "prices": rows }));
        return Ok(());
    }
    if *csv {
        return print_csv(&rows);
    }
    if rows.is_empty() {
        println!("there is no such price");
        return Ok(());
    }
    let heads = ["provider", "model", "input", "cached", "output", "from", "noted on", "source", ""];
    let style = Style::of_stdout();
    let mut table = style.table(&heads);
    for row in rows {
        let state = if row.state == "in force" { String::new() } else { style.dim(&row.state) };
        table.add_row([
            row.provider,
            row.model_name,
            usd(row.input_usd_per_million),
            row.cached_input_usd_per_million.map_or_else(String::new, usd),
            usd(row.output_usd_per_million),
            row.effective_from.strftime("%Y-%m-%d").to_string(),
            row.noted_on.to_string(),
            row.source,
            state,
        ]);
    }
    println!("{table}");
    println!("{}", style.dim("USD per million tokens. What is priced keeps the price of its moment."));
    Ok(())
}

/// Without the state, which is no column of a list; names that a spreadsheet would take for formulas are not made by anybody but the
/// operator, so cells stay as they are.
fn print_csv(rows: &[PriceRow]) -> Result<(), CommandError> {
    let mut writer = csv::Writer::from_writer(std::io::stdout());
    writer.write_record([
        "provider",
        "model_name",
        "input_usd_per_million",
        "output_usd_per_million",
        "cached_input_usd_per_million",
        "effective_from",
        "source",
        "noted_on",
    ])?;
    for row in rows {
        writer.write_record([
            row.provider.clone(),
            row.model_name.clone(),
            usd(row.input_usd_per_million),
            usd(row.output_usd_per_million),
            row.cached_input_usd_per_million.map_or_else(String::new, usd),
            row.effective_from.to_string(),
            row.source.clone(),
            row.noted_on.to_string(),
        ])?;
    }
    Ok(writer.flush()?)
}
