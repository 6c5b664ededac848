//! What a run came to.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::check::Check;
use crate::journal::Entry;
use crate::plan::Kind;
use crate::proxy::Weather;
use crate::session::Fate;
use crate::settling::Settled;

/// Violations that are printed; all are counted.
const MOST_SHOWN: usize = 40;

/// What was done to servers and database, and what servers did by themselves.
#[derive(Debug, Clone, Default)]
pub struct Deeds {
    pub postgres_kills: u64,
    pub postgres_freezes: u64,
    pub server_freezes: u64,
    pub server_kills: u64,
    pub terminations: u64,
    /// Servers whose client left with calls under way.
    pub server_ends: u64,
    /// Each session that has ended, and how.
    pub sessions: Vec<(u64, Fate)>,
    /// Servers that ended though nobody asked for it.
    pub own_ends: Vec<u64>,
    /// Servers that were asked to end and did not, or badly.
    pub bad_ends: Vec<u64>,
}

pub struct Report {
    seed: u64,
    calls: usize,
    /// Replies by tool and name, with the slowest of them.
    replies: BTreeMap<(Kind, String), (u64, Duration)>,
    check: Check,
    pub violations: Vec<String>,
    weather: BTreeMap<&'static str, u64>,
    deeds: Deeds,
    stormed: Duration,
    settled: Settled,
}

impl Report {
    pub fn new(
        seed: u64,
        journal: &[Entry],
        mut check: Check,
        weather: &Weather,
        deeds: Deeds,
        stormed: Duration,
        settled: Settled,
    ) -> Self {
        let mut replies = BTreeMap::<_, (u64, Duration)>::new();
        for entry in journal {
            let (count, longest) = replies.entry((entry.kind, entry.reply.name().to_owned())).or_default();
            (*count, *longest) = (*count + 1, entry.took.max(*longest));
        }
        let violations = std::mem::take(&mut check.violations);
        let weather = BTreeMap::from(
            [
                ("connections", &weather.connections),
                ("delayed", &weather.delays),
                ("sliced", &weather.slices),
                ("cut", &weather.cuts),
                ("swallowed", &weather.swallows),
                ("late COMMITs", &weather.late_commits),
                ("lost answers", &weather.lost_answers),
            ]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed))),
        );
        Self { seed, calls: journal.len(), replies, check, violations, weather, deeds, stormed, settled }
    }

    pub fn to_json(&self) -> Value {
        let replies = self.replies.iter().map(|((kind, reply), (count, longest))| {
            json!({ "tool": kind.tool(), "reply": reply, "calls": count, "longest_ms": longest.as_millis() as u64 })
        });
        let rows = self
            .check
            .rows
            .iter()
            .map(|((tool, outcome), count)| json!({ "resource": tool, "outcome": outcome, "rows": count }));
        json!({
            "seed": self.seed, "calls": self.calls, "violations": self.violations,
            "replies": replies.collect::<Vec<_>>(), "rows": rows.collect::<Vec<_>>(),
            "rows_without_number": self.check.unlinked, "refusals_reaped_first": self.check.reaped_first,
            "calls_of_killed_servers_without_row": self.check.without_row,
            "postgres_freezes": self.deeds.postgres_freezes, "server_freezes": self.deeds.server_freezes,
            "postgres_kills": self.deeds.postgres_kills, "server_kills": self.deeds.server_kills, "server_ends": self.deeds.server_ends,
            "terminated_backends": self.deeds.terminations, "network": self.weather,
            "storm_s": self.stormed.as_secs_f64(), "settling_s": self.settled.took.as_secs_f64(),
            "settled_by_the_servers": self.settled.by_the_servers,
        })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { seed, calls, deeds, check, stormed, settled, .. } = self;
        writeln!(f, "{calls} calls in {:.0} s, seed {seed}", stormed.as_secs_f64())?;
        writeln!(
            f,
            "PostgreSQL killed {} times and frozen {} times, servers killed {} times, left {} times, frozen {} times, {} backends terminated",
            deeds.postgres_kills,
            deeds.postgres_freezes,
            deeds.server_kills,
            deeds.server_ends,
            deeds.server_freezes,
            deeds.terminations
        )?;
        let network: Vec<_> = self.weather.iter().map(|(name, count)| format!("{count} {name}")).collect();
        writeln!(f, "network: {}\n", network.join(", "))?;
        writeln!(f, "{:16} {:18} {:>7} {:>10}", "tool", "told", "calls", "longest")?;
        for ((kind, reply), (count, longest)) in &self.replies {
            writeln!(f, "{:16} {reply:18} {count:7} {:8} ms", kind.tool(), longest.as_millis())?;
        }
        writeln!(f, "\n{:24} {:12} {:>7}", "row", "outcome", "rows")?;
        for ((tool, outcome), count) in &check.rows {
            writeln!(f, "{tool:24} {outcome:12} {count:7}")?;
        }
        writeln!(
            f,
            "\n{} rows of calls that ended before their tool saw them; {} refusals that the reaper had closed first; \
             {} calls that servers killed or left did not take up",
            check.unlinked, check.reaped_first, check.without_row
        )?;
        let whom = if settled.by_the_servers { "the servers of the storm" } else { "their successors" };
        writeln!(f, "settled after {:.1} s by {whom}\n", settled.took.as_secs_f64())?;
        for violation in self.violations.iter().take(MOST_SHOWN) {
            writeln!(f, "VIOLATION: {violation}")?;
        }
        writeln!(f, "{} violations", self.violations.len())
    }
}
