//! A server among hostile clients: whoever sends heads or bodies a byte at a time, never reads, or takes connection after connection,
//! must not keep the honest ones waiting, nor cost much memory.
//!
//! `cargo build --release && cargo run --release --example hostile`: starts `bailiwick serve --http` beside it, on loopback only.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod attacks;
mod honest;
mod served;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use attacks::Crowd;
use honest::{Figures, Honest};
use served::Served;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How hostile.
#[derive(Parser)]
pub struct Arguments {
    /// Clients that send the head of a request a byte at a time
    #[arg(long, default_value_t = 1_000)]
    heads: usize,
    /// Clients that do so with the body
    #[arg(long, default_value_t = 200)]
    bodies: usize,
    /// Clients that ask on and on and never read
    #[arg(long, default_value_t = 200)]
    silent: usize,
    /// Connections that are opened and held
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How many of them the server may have
    #[arg(long, default_value_t = 4_096)]
    cap: usize,
    /// How many of one address; the attackers have four, the honest clients another
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
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let _ = bailiwick::http::connections_within_limits(arguments.connections + 1_000);
    let served = Served::start(&arguments).await?;
    let lasting = Duration::from_secs_f64(arguments.seconds);
    let mut rows = Vec::new();
    // The first calls pay for connections and plans.
    Honest::start(&served).stop_after(Duration::from_secs(1)).await?;
    let before_bytes = served.memory_bytes()?;
    let idle = Honest::start(&served).stop_after(lasting).await?;
    rows.push(row("idle", &idle, served.memory_bytes()?, before_bytes, 0));
    let crowds = [
        ("heads", arguments.heads, Crowd::Heads),
        ("bodies", arguments.bodies, Crowd::Bodies),
        ("never read", arguments.silent, Crowd::Silent),
        ("connections", arguments.connections, Crowd::Idle),
    ];
    for (name, count, crowd) in crowds {
        let honest = Honest::start(&served);
        let attack = attacks::attack(&served, crowd, count);
        let (peak, _) = tokio::join!(served.peak_bytes(lasting), tokio::time::timeout(lasting, attack));
        rows.push(row(name, &honest.stop_after(Duration::ZERO).await?, peak?, before_bytes, count));
        // Whoever is left of them is cut.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let misrouted = attacks::namesakes(&served, arguments.namesakes, arguments.replies).await?;
    let report = json!({
        "rows": rows, "replies": arguments.namesakes * arguments.replies, "misrouted": misrouted, "refused_connections": served.refused_connections().await?,
    });
    let is_content = misrouted == 0 && rows.iter().all(|row| row["failed"] == 0 && row["served"].as_u64() > Some(0));
    if arguments.json {
        println!("{report:#}");
    } else {
        tell(&report);
    }
    Ok(if is_content { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(name: &str, figures: &Figures, peak_bytes: u64, before_bytes: u64, count: usize) -> Value {
    let more_bytes = peak_bytes.saturating_sub(before_bytes);
    json!({
        "attack": name, "clients": count, "served": figures.served, "failed": figures.failed, "p50_ms": figures.p50_ms, "p99_ms": figures.p99_ms,
        "memory_mib": peak_bytes >> 20, "more_mib": more_bytes >> 20,
    })
}

fn tell(report: &Value) {
    println!(
        "{:<12} {:>8} {:>8} {:>7} {:>8} {:>8} {:>8} {:>7}",
        "attack", "clients", "served", "failed", "p50 ms", "p99 ms", "MiB", "more"
    );
    for row in report["rows"].as_array().into_iter().flatten() {
        let figure = |name: &str| row[name].as_f64().unwrap_or_default();
        println!(
            "{:<12} {:>8} {:>8} {:>7} {:>8.2} {:>8.2} {:>8} {:>7}",
            row["attack"].as_str().unwrap_or_default(),
            row["clients"],
            row["served"],
            row["failed"],
            figure("p50_ms"),
            figure("p99_ms"),
            row["memory_mib"],
            row["more_mib"]
        );
    }
    println!(
        "{} replies to equal ids, {} misrouted; {} connections refused",
        report["replies"], report["misrouted"], report["refused_connections"]
    );
}
