//! A server among hostile clients: whoever sends heads or bodies a byte at a time, keeps the end of large ones back, never reads,
//! guesses keys, or takes connection after connection, must not keep the honest ones waiting or newcomers out, nor cost much memory.
//! It fails where one of that does not hold.
//!
//! The attackers are a process of their own with the lowest priority (`--attackers-nice 0` for the usual one): in the world they
//! come with their own processors, and what is measured is what the server lets them take of its own. Before and after each attack
//! nothing happens for as long, and what it is compared with is the mean of both: a shared machine has better moments and worse.
//!
//! `cargo build --release && cargo run --release --example hostile`: starts `bailiwick serve --http` beside it, on loopback only.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod attacks;
mod honest;
mod namesakes;
mod newcomers;
mod report;
mod served;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use attacks::{Attack, Crowd};
use honest::{Figures, Honest};
use newcomers::Newcomers;
use report::{Report, Row};
use served::Served;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Subcommand)]
enum Role {
    /// The attackers, for the example's own use
    #[command(hide = true)]
    Attack(Attack),
}

/// How hostile.
#[derive(Parser)]
pub struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Clients that send the head of a request a byte at a time
    #[arg(long, default_value_t = 1_000)]
    heads: usize,
    /// Clients that do so with the body
    #[arg(long, default_value_t = 200)]
    bodies: usize,
    /// Clients that send the largest body but for its last byte
    #[arg(long, default_value_t = 60)]
    withheld: usize,
    /// Clients that ask on and on and never read: of another tenant, and once more with the honest clients' key
    #[arg(long, default_value_t = 200)]
    silent: usize,
    /// Clients that show one key after another that is none
    #[arg(long, default_value_t = 100)]
    guesses: usize,
    /// Connections that are opened and held
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How many of them the server may have
    #[arg(long, default_value_t = 4_096)]
    cap: usize,
    /// How many of one address; the attackers have sixteen, the honest clients another
    #[arg(long, default_value_t = 512)]
    cap_of_address: usize,
    /// Clients that use the same JSON-RPC ids at the same time
    #[arg(long, default_value_t = 200)]
    namesakes: usize,
    /// Replies to each of them
    #[arg(long, default_value_t = 50)]
    replies: usize,
    /// How long each attack lasts
    #[arg(long, default_value_t = 12.0)]
    seconds: f64,
    /// The attackers' niceness
    #[arg(long, default_value_t = 19)]
    attackers_nice: i32,
    /// How many times as long as while nothing happens the honest clients' slowest call of a hundred may take
    #[arg(long, default_value_t = 2.0)]
    most_times: f64,
    /// MiB that the server may need more than while nothing happens
    #[arg(long, default_value_t = 50)]
    most_mib: u64,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What honest clients and newcomers find while nothing else happens.
async fn quiet(served: &Served, lasting: Duration) -> Result<(Figures, Newcomers)> {
    let honest = Honest::start(served);
    let newcomers = Newcomers::come(served, lasting).await;
    Ok((honest.stop_after(Duration::ZERO).await?, newcomers))
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(Role::Attack(attack)) = &arguments.role {
        attack.run().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let served = Served::start(&arguments).await?;
    let lasting = Duration::from_secs_f64(arguments.seconds);
    let mut report = Report::new(&arguments);
    // The first calls pay for connections and plans.
    Honest::start(&served).stop_after(Duration::from_secs(1)).await?;
    let before_bytes = served.memory_bytes()?;
    let (theirs, ours) = (&served.attackers_key, &served.key);
    let attacks = [
        ("heads", arguments.heads, Crowd::Heads, theirs),
        ("bodies", arguments.bodies, Crowd::Bodies, theirs),
        ("withheld", arguments.withheld, Crowd::Withheld, theirs),
        ("never read", arguments.silent, Crowd::Silent, theirs),
        ("shared key", arguments.silent, Crowd::Silent, ours),
        ("guesses", arguments.guesses, Crowd::Guesses, theirs),
        ("connections", arguments.connections, Crowd::Idle, theirs),
    ];
    let mut before = quiet(&served, lasting).await?;
    report.rows.push(Row::quiet(before.clone(), before_bytes));
    for (name, count, crowd, key) in attacks {
        let honest = Honest::start(&served);
        let mut attack = Attack::begin(&served, crowd, count, key, lasting, arguments.attackers_nice)?;
        let (peak, newcomers) = tokio::join!(served.peak_bytes(lasting), Newcomers::come(&served, lasting));
        let figures = honest.stop_after(Duration::ZERO).await?;
        attack.kill().await?;
        // Whoever is left of them is cut.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (peak_bytes, after) = (peak?, quiet(&served, lasting).await?);
        let idle_p99_ms = f64::midpoint(before.0.p99_ms, after.0.p99_ms);
        let more_bytes = peak_bytes.saturating_sub(before_bytes);
        report.rows.push(Row { attack: name, clients: count, figures, idle_p99_ms, newcomers, peak_bytes, more_bytes });
        before = after;
    }
    report.misrouted = namesakes::namesakes(&served, arguments.namesakes, arguments.replies).await?;
    report.refused = served.figure("bailiwick_http_connections_refused_total").await?;
    report.evicted = served.figure("bailiwick_http_connections_evicted_total").await?;
    let faults = report.faults();
    if arguments.json {
        println!("{:#}", report.to_json(&faults));
    } else {
        print!("{report}");
        faults.iter().for_each(|fault| println!("FAULT: {fault}"));
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
