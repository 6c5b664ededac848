//! What the honest clients felt, and what of it must not be.

use std::fmt;

use bailiwick::http::HttpOptions;
use serde_json::{Value, json};

use crate::Arguments;
use crate::honest::Figures;
use crate::newcomers::Newcomers;

pub struct Row {
    pub attack: &'static str,
    pub clients: usize,
    pub figures: Figures,
    /// The honest clients' while nothing happened, before and after.
    pub idle_p99_ms: f64,
    pub newcomers: Newcomers,
    pub peak_bytes: u64,
    pub more_bytes: u64,
}

impl Row {
    /// The one without an attack.
    pub fn quiet((figures, newcomers): (Figures, Newcomers), bytes: u64) -> Self {
        let idle_p99_ms = figures.p99_ms;
        Self { attack: "idle", clients: 0, figures, idle_p99_ms, newcomers, peak_bytes: bytes, more_bytes: 0 }
    }

    /// How many times as long as without an attack.
    fn times(&self) -> f64 {
        self.figures.p99_ms / self.idle_p99_ms
    }
}

pub struct Report {
    most_times: f64,
    most_more_bytes: u64,
    replies: usize,
    has_crowd: bool,
    pub rows: Vec<Row>,
    pub misrouted: usize,
    pub refused: u64,
    pub evicted: u64,
}

impl Report {
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            most_times: arguments.most_times,
            most_more_bytes: arguments.most_mib << 20,
            replies: arguments.namesakes * arguments.replies,
            has_crowd: arguments.connections > arguments.cap,
            rows: Vec::new(),
            misrouted: 0,
            refused: 0,
            evicted: 0,
        }
    }

    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in &self.rows {
            let (attack, times) = (row.attack, row.times());
            if row.figures.served == 0 || row.figures.failed > 0 {
                faults.push(format!("{attack}: {} honest calls failed", row.figures.failed));
            }
            if row.newcomers.answered == 0 || row.newcomers.failed > 0 {
                faults.push(format!("{attack}: {} newcomers found no way in", row.newcomers.failed));
            }
            // A share that is no number is no good one either.
            if times.partial_cmp(&self.most_times).is_none_or(|order| order.is_gt()) {
                faults.push(format!(
                    "{attack}: p99 is {times:.1} times that of idle, at most {} may be",
                    self.most_times
                ));
            }
            // Bodies whose end does not come are kept up to a bound of their own.
            let kept_bytes = if attack == "withheld" { HttpOptions::default().most_body_bytes as u64 } else { 0 };
            if row.more_bytes > self.most_more_bytes + kept_bytes {
                let (more, most) = (row.more_bytes >> 20, (self.most_more_bytes + kept_bytes) >> 20);
                faults.push(format!("{attack}: {more} MiB more were needed, at most {most} may be"));
            }
        }
        if self.misrouted > 0 {
            faults.push(format!("{} of {} replies were misrouted", self.misrouted, self.replies));
        }
        if self.has_crowd && self.refused + self.evicted == 0 {
            faults.push("the bound of connections was not reached".to_owned());
        }
        faults
    }

    pub fn to_json(&self, faults: &[String]) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "attack": row.attack, "clients": row.clients, "served": row.figures.served, "failed": row.figures.failed,
                "p50_ms": row.figures.p50_ms, "p99_ms": row.figures.p99_ms, "times": row.times(), "idle_p99_ms": row.idle_p99_ms,
                "newcomers": row.newcomers.answered, "newcomers_failed": row.newcomers.failed,
                "newcomers_slowest_ms": row.newcomers.slowest_ms,
                "memory_mib": row.peak_bytes >> 20, "more_mib": row.more_bytes >> 20,
            })
        });
        json!({
            "rows": rows.collect::<Vec<_>>(), "replies": self.replies, "misrouted": self.misrouted,
            "refused_connections": self.refused, "evicted_connections": self.evicted, "faults": faults,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>8} {:>8} {:>7} {:>8} {:>8} {:>6} {:>10} {:>7} {:>8} {:>6} {:>6}",
            "attack",
            "clients",
            "served",
            "failed",
            "p50 ms",
            "p99 ms",
            "times",
            "newcomers",
            "failed",
            "slowest",
            "MiB",
            "more"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<12} {:>8} {:>8} {:>7} {:>8.2} {:>8.2} {:>6.2} {:>10} {:>7} {:>8.1} {:>6} {:>6}",
                row.attack,
                row.clients,
                row.figures.served,
                row.figures.failed,
                row.figures.p50_ms,
                row.figures.p99_ms,
                row.times(),
                row.newcomers.answered,
                row.newcomers.failed,
                row.newcomers.slowest_ms,
                row.peak_bytes >> 20,
                row.more_bytes >> 20,
            )?;
        }
        writeln!(
            f,
            "{} replies to equal ids, {} misrouted; {} connections made room, {} were refused",
            self.replies, self.misrouted, self.evicted, self.refused
        )
    }
}
