//! A storm over the audit trail: calls that are cancelled, time out and panic, on servers and a PostgreSQL that are killed, over
//! a network that loses what it carries. Afterwards what the client was told is held against the trail and the data.
//!
//! `cargo run --release --example torture -- --calls 50000`

#![expect(clippy::print_stdout, reason = "a report is printed")]
#![expect(clippy::disallowed_methods, reason = "arranges, and looks behind the curtain, as superuser")]

mod check;
mod dice;
mod faulty;
mod fence;
mod journal;
mod links;
mod over_http;
mod plan;
mod proxy;
mod report;
mod serving;
mod session;
mod settling;
mod storm;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Plays a client's journal against a database through a storm of faults, and checks the audit trail")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    storm: StormArguments,
}

#[derive(Subcommand)]
enum Command {
    /// A server with faulty tools, for the storm's own use
    #[command(hide = true)]
    Serve(serving::ServerArguments),
}

/// What kind of storm.
#[derive(Debug, Clone, Args)]
struct StormArguments {
    /// Calls to make
    #[arg(long, default_value_t = 600)]
    calls: u64,
    /// Decides what happens to which call; random if absent
    #[arg(long)]
    seed: Option<u64>,
    /// How clients and servers are joined
    #[arg(long, value_enum, default_value_t = Transports::Both)]
    transport: Transports,
    /// Remove what keeps calls from being closed twice: violations must be found. `races` leaves only late COMMITs to find
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "all")]
    without_fence: Option<WithoutFence>,
    /// Between two kills of PostgreSQL or of a server
    #[arg(long, default_value_t = 2.5)]
    seconds_between_kills: f64,
    /// Most calls a second; unlimited from 5,000 calls on if absent, else 60
    #[arg(long)]
    rate: Option<f64>,
    /// Share of COMMITs that arrive late, never, or without an answer; by the number of calls if absent
    #[arg(long)]
    bad_commits: Option<f64>,
    /// Calls at the same time, for each server
    #[arg(long, default_value_t = 6)]
    workers: usize,
    /// How long the servers of the storm are given to put everything in order before new ones take over
    #[arg(long)]
    settle_seconds: Option<u64>,
    /// Where to keep everything; a folder that is removed afterwards if absent
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Folder of PostgreSQL's programs
    #[arg(long, env = "BAILIWICK_PG_BIN")]
    pg_bin: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transports {
    Both,
    Stdio,
    Process,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WithoutFence {
    All,
    Races,
}

impl StormArguments {
    fn is_long(&self) -> bool {
        self.calls >= 5_000
    }

    fn rate(&self) -> Option<f64> {
        self.rate.or((!self.is_long()).then_some(60.0))
    }

    /// A held COMMIT holds up its tenant, so that a long storm has a smaller share of them.
    fn bad_commits(&self) -> f64 {
        self.bad_commits.unwrap_or((20.0 / self.calls as f64).clamp(0.002, 0.02))
    }

    /// Calls older than 40 s are closed by the reaper, which looks every 10 s: a long run waits for that.
    fn settling(&self) -> Duration {
        Duration::from_secs(self.settle_seconds.unwrap_or(if self.is_long() { 75 } else { 5 }))
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    bear_planned_panics();
    if let Some(Command::Serve(server)) = &arguments.command {
        log_to(std::io::stderr);
        serving::serve(server).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = storm::run(&arguments.storm).await?;
    match arguments.storm.json {
        true => println!("{}", serde_json::to_string_pretty(&report.to_json())?),
        false => print!("{report}"),
    }
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn bear_planned_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&"planned") {
            usual(panic);
        }
    }));
}

fn log_to<W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static>(writer: W) {
    let filter = tracing_subscriber::EnvFilter::new("warn,rmcp=error");
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).init();
}
