//! `bailiwick demo`: the main job in one command, through a real MCP client and this very binary as its server.

mod client;
mod corpus;
mod embedding;
mod evidence;
mod print;
mod report;
mod snippet;
mod story;

use std::time::Instant;

use clap::Args;
use uuid::Uuid;

use crate::cli::Style;
use crate::configuration::{Database, DatabaseArguments, DatabaseSettings, EmbeddingSettings};
use crate::embedded::{self, Progress};
use crate::embedding::local::MINILM;
use crate::startup::Deployment;
use crate::telemetry;

/// Why the demo failed, for the person at the terminal.
type DemoError = Box<dyn std::error::Error + Send + Sync>;

/// How to show the main job.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Print what was read back as JSON
    #[arg(long)]
    pub json: bool,
    /// Leave the sample documents in the database that `bailiwick serve` uses, so that a client finds them
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo on the program's own PostgreSQL, whatever database URL is configured, and prints what happened.
///
/// # Errors
/// Whatever kept a step from being done, or a promise that did not hold: an audit row missing, a leak.
pub async fn run(database: &DatabaseArguments, arguments: &DemoArguments) -> Result<(), DemoError> {
    let started = Instant::now();
    let style = Style::of_stdout();
    let mut settings = DatabaseSettings::resolve(database)?;
    settings.database = Database::Embedded { data_dir: database.data_dir.clone(), pg_bin: database.pg_bin.clone() };
    settings.embedding = EmbeddingSettings::built_in(&database.embedding);
    let run_id = Uuid::new_v4().simple().to_string();
    let scratch = format!("bailiwick_demo_{run_id}");
    let deployment = if arguments.keep {
        Deployment::open(&settings).await?
    } else {
        Deployment::open_apart(&settings, &scratch).await?
    };
    // Fetched here, where its progress is seen, and found by the servers.
    let model = match database.embedding.no_embeddings {
        true => None,
        false => fetch_model(&settings).await,
    };
    let ready_ms = started.elapsed().as_millis();

    let told = tokio::select! {
        told = tell(&deployment, model, &run_id, ready_ms, started, arguments, style) => told,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    if !arguments.keep {
        deployment.drop_database(&scratch).await?;
    }
    told
}

/// The name of the model to embed with; `None` where it cannot be had, and the demo goes on by words.
async fn fetch_model(settings: &DatabaseSettings) -> Option<&'static str> {
    let fetched = match settings.data_dir() {
        Ok(data_dir) => embedded::minilm(&data_dir, &Progress::stderr()).await.map(drop),
        Err(error) => Err(error),
    };
    match fetched {
        Ok(()) => Some(MINILM),
        Err(error) => {
            telemetry::announce(&format!("Searches will be by words alone: {}", embedded::explain(&error)));
            None
        }
    }
}

async fn tell(
    deployment: &Deployment,
    model: Option<&'static str>,
    run_id: &str,
    ready_ms: u128,
    started: Instant,
    arguments: &DemoArguments,
    style: Style,
) -> Result<(), DemoError> {
    let corpus = corpus::Corpus::load()?;
    let told = story::tell(deployment, model, run_id, &corpus).await?;
    let evidence = evidence::collect(deployment, run_id, &told).await?;
    let report = report::Report::new(told, evidence, ready_ms, started.elapsed().as_millis());
    if arguments.json {
        print::json(&report)?;
    } else {
        print::for_a_person(&report, style);
        let program = std::env::current_exe()?;
        print::closing(&program, &snippet::snippet(&program)?, arguments.keep, style);
    }
    report.verdict().map_err(Into::into)
}
