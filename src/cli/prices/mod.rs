//! `bailiwick prices`: the list that usage is priced by.

mod add;
mod list;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{CommandError, Style};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::costs::prices::{self, Fields, FileFormat, Price};
use crate::db::admin;
use crate::startup::Deployment;

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub(super) enum PricesCommand {
    /// List the prices in force and those to come
    List(list::ListArguments),
    /// Add the prices of a file; those that are in the list already are passed over
    #[command(
        after_help = "The columns: provider, model_name, input_usd_per_million, output_usd_per_million, source; cached_input_usd_per_million,\neffective_from (now if absent) and noted_on (today if absent) may be left out. JSON is as `prices list --json` prints it.\n\nExamples:\n  bailiwick prices import --dry-run prices.csv\n  bailiwick prices import --source 'OpenAI: API pricing page' --noted-on 2026-03-01 prices.csv"
    )]
    Import(ImportArguments),
    /// Add one price
    #[command(
        after_help = "Example:\n  bailiwick prices set openai gpt-4o --input 2.5 --cached-input 1.25 --output 10 --source 'OpenAI: API pricing page'"
    )]
    Set(SetArguments),
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The file; - is stdin
    file: PathBuf,
    /// How it is written; by its name's ending if absent
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Where the prices stand, in words, for those that do not say so themselves
    #[arg(long)]
    source: Option<String>,
    /// The day on which they stood there, for those that do not say so themselves
    #[arg(long, value_name = "DATE")]
    noted_on: Option<String>,
    /// From when on they are in force, for those that do not say so themselves
    #[arg(long, value_name = "DATE|RFC 3339")]
    effective_from: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
pub(super) struct SetArguments {
    /// The model's provider, as usage is reported with it
    provider: String,
    /// The model's name, as usage is reported with it
    model: String,
    /// USD per million tokens sent
    #[arg(long, value_name = "USD")]
    input: String,
    /// USD per million tokens written; 0 for an embedding model
    #[arg(long, value_name = "USD")]
    output: String,
    /// USD per million tokens sent that the provider had in its cache; what others cost if absent
    #[arg(long, value_name = "USD")]
    cached_input: Option<String>,
    /// From when on; now if absent
    #[arg(long, value_name = "DATE|RFC 3339")]
    effective_from: Option<String>,
    /// Where the price stands, in words
    #[arg(long)]
    source: String,
    /// The day on which it stood there; today if absent
    #[arg(long, value_name = "DATE")]
    noted_on: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What adding prices has in common.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct How {
    /// Check everything, and add nothing
    #[arg(long)]
    dry_run: bool,
    /// Also take a price more than 100 times as high or low as the one before it
    #[arg(long)]
    allow_large_changes: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command about prices as the database's administrator.
pub(super) async fn run(database: &DatabaseArguments, command: &PricesCommand) -> Result<(), CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    // What is wrong with a file is told before a database is looked for.
    let given = match command {
        PricesCommand::List(_) => None,
        PricesCommand::Import(arguments) => Some(("import", arguments.read()?, arguments.how)),
        PricesCommand::Set(arguments) => Some(("set", arguments.read()?, arguments.how)),
    };
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    match (command, given) {
        (PricesCommand::List(arguments), _) => list::run(&client, arguments).await,
        (_, Some((name, prices, how))) => add::run(&client, name, prices, how).await,
        (_, None) => Ok(()),
    }
}

fn fields<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a String>)>) -> Fields {
    let given = pairs.into_iter().filter_map(|(name, text)| text.map(|text| (name.to_owned(), text.clone())));
    given.collect()
}

impl ImportArguments {
    fn read(&self) -> Result<Vec<(String, Price)>, CommandError> {
        let is_stdin = self.file.as_os_str() == "-";
        let ending = self.file.extension().map(|ending| ending.to_ascii_lowercase());
        let format = match (self.format, ending.as_deref().and_then(|ending| ending.to_str())) {
            (Some(format), _) => format,
            (None, Some("csv")) => FileFormat::Csv,
            (None, Some("json")) => FileFormat::Json,
            (None, _) => return Err("say how the file is written: --format csv or --format json".into()),
        };
        let text = match is_stdin {
            true => std::io::read_to_string(std::io::stdin()),
            false => std::fs::read_to_string(&self.file),
        };
        let text = text.map_err(|error| format!("{} cannot be read: {error}", self.file.display()))?;
        let defaults = fields([
            ("source", self.source.as_ref()),
            ("noted_on", self.noted_on.as_ref()),
            ("effective_from", self.effective_from.as_ref()),
        ]);
        Ok(prices::read(&text, format, &defaults).map_err(|told| format!("{}: {told}", self.file.display()))?)
    }
}

impl SetArguments {
    fn read(&self) -> Result<Vec<(String, Price)>, CommandError> {
        let fields = fields([
            ("provider", Some(&self.provider)),
            ("model_name", Some(&self.model)),
            ("input_usd_per_million", Some(&self.input)),
            ("output_usd_per_million", Some(&self.output)),
            ("cached_input_usd_per_million", self.cached_input.as_ref()),
            ("effective_from", self.effective_from.as_ref()),
            ("source", Some(&self.source)),
            ("noted_on", self.noted_on.as_ref()),
        ]);
        let price = Price::checked(&fields, "").map_err(|problems| problems.to_string())?;
        Ok(vec![(String::new(), price)])
    }
}
