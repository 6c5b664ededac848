//! Figures of calls, for whoever collects them; nobody's unless a collector is installed.

use std::time::Duration;

use super::Outcome;

/// Describes the figures to the collector, once it is installed.
pub fn describe() {
    metrics::describe_counter!("bailiwick_calls_total", "Calls that ended, by tool and outcome.");
    metrics::describe_histogram!(
        "bailiwick_call_duration_seconds",
        metrics::Unit::Seconds,
        "Time from a call's arrival to its end, by tool."
    );
    metrics::describe_gauge!("bailiwick_calls_running", "Calls that have a turn.");
    metrics::describe_gauge!("bailiwick_calls_waiting", "Calls that wait for their turn.");
    metrics::describe_gauge!(
        "bailiwick_audit_spooled_bytes",
        metrics::Unit::Bytes,
        "Audit rows on disk that wait for the database."
    );
    metrics::describe_gauge!(
        "bailiwick_audit_can_record",
        "1 if audit rows can be kept; 0 while no call is let in because they cannot."
    );
    metrics::describe_counter!(
        "bailiwick_calls_reaped_total",
        "Calls of dead servers that this one closed as interrupted."
    );
}

/// A call ended.
pub(super) fn ended(tool: &'static str, outcome: Outcome, took: Duration) {
    metrics::counter!("bailiwick_calls_total", "tool" => tool, "outcome" => outcome.name()).increment(1);
    metrics::histogram!("bailiwick_call_duration_seconds", "tool" => tool).record(took);
}

/// How many calls run and wait.
pub(super) fn turns(running: usize, waiting: usize) {
    metrics::gauge!("bailiwick_calls_running").set(count(running));
    metrics::gauge!("bailiwick_calls_waiting").set(count(waiting));
}

/// How the trail stands.
pub(super) fn trail(spooled_bytes: u64, can_record: bool) {
    metrics::gauge!("bailiwick_audit_spooled_bytes").set(count(usize::try_from(spooled_bytes).unwrap_or(usize::MAX)));
    metrics::gauge!("bailiwick_audit_can_record").set(f64::from(u8::from(can_record)));
}

/// Calls that were closed for dead servers.
pub(super) fn reaped(calls: i32) {
    metrics::counter!("bailiwick_calls_reaped_total").increment(u64::try_from(calls).unwrap_or_default());
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
