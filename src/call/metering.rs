//! Figures of calls, for whoever collects them; nobody's unless a collector is installed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::record::Record;
use super::{FailureCode, Outcome};
use crate::costs::Refusal;
use crate::db::{Backlog, PoolStatus, WalArchive};

/// Whether calls are counted by tenant, too.
static BY_TENANT: AtomicBool = AtomicBool::new(false);

/// From now on counts calls by tenant, too: a series for each that calls, named by its id.
pub fn count_by_tenant() {
    BY_TENANT.store(true, Ordering::Relaxed);
}

/// Describes the figures to the collector, once it is installed.
pub fn describe() {
    metrics::describe_counter!("bailiwick_calls_total", "Calls that ended, by tool and outcome.");
    metrics::describe_histogram!(
        "bailiwick_call_duration_seconds",
        metrics::Unit::Seconds,
        "Time from a call's arrival to its end, by tool."
    );
    metrics::describe_counter!(
        "bailiwick_call_failures_total",
        "Failures that clients were told, by tool and code: budget_exceeded, quota_exceeded, rate_limited, unavailable …"
    );
    metrics::describe_histogram!(
        "bailiwick_call_wait_seconds",
        metrics::Unit::Seconds,
        "Time that calls waited for their turn."
    );
    metrics::describe_gauge!("bailiwick_pool_connections", "Open connections to the database, by pool.");
    metrics::describe_gauge!("bailiwick_pool_connections_idle", "Of them, those that nobody uses.");
    metrics::describe_gauge!("bailiwick_pool_connections_max", "How many there may be.");
    metrics::describe_gauge!("bailiwick_pool_waiting", "Who waits for a connection, by pool.");
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
        "bailiwick_replica_reads_total",
        "Searches while there is a replica, by where they were read and why: fresh; away, stranger, resting, busy, lagging, own_write, conflict, slow, failed, refused."
    );
    metrics::describe_gauge!(
        "bailiwick_replica_lag_seconds",
        metrics::Unit::Seconds,
        "How long ago what the replica lacks was committed at most; +Inf while that cannot be told."
    );
    metrics::describe_counter!(
        "bailiwick_budget_refusals_total",
        "Paid work that a budget did not allow, by period and reason: exhausted, or held by calls under way."
    );
    metrics::describe_counter!(
        "bailiwick_calls_reaped_total",
        "Calls of dead servers that this one closed as interrupted."
    );
    describe_backlog();
    metrics::describe_gauge!("bailiwick_wal_archiving", "1 if the database archives its write-ahead log.");
    metrics::describe_gauge!(
        "bailiwick_wal_archive_failing",
        "1 while it should archive and the last try failed: the log stays on its disk, and would be lost with it."
    );
    metrics::describe_gauge!(
        "bailiwick_wal_unarchived_bytes",
        metrics::Unit::Bytes,
        "Write-ahead log that should be archived and is not yet."
    );
    begin();
}

/// What upkeep has still to do is the database's, so each is told with the database's name and the identifier of its cluster.
fn describe_backlog() {
    metrics::describe_gauge!(
        "bailiwick_audit_lag_seconds",
        metrics::Unit::Seconds,
        "For how long the oldest audit row that is not sealed yet has been there, by database; NaN while that cannot be told."
    );
    metrics::describe_gauge!(
        "bailiwick_maintenance_unmerged_chunks",
        "Chunks whose postings wait to be merged, of all tenants, by database; searches read them one by one."
    );
    metrics::describe_gauge!(
        "bailiwick_stray_rows",
        "Rows of the audit trail and of costs that have no partition for their month (10000 stand for more), by database; there should be none."
    );
    metrics::describe_gauge!(
        "bailiwick_months_ahead",
        "Of the next three months, those whose partitions are there, by database."
    );
    metrics::describe_gauge!(
        "bailiwick_upkeep_seen_timestamp_seconds",
        metrics::Unit::Seconds,
        "When this server last saw what waits for upkeep, as Unix time."
    );
}

/// Counters that alerts go by begin at 0: of one that appears with its first event no increase is seen.
fn begin() {
    metrics::counter!("bailiwick_calls_reaped_total").increment(0);
    for period in ["day", "month"] {
        for reason in ["exhausted", "held"] {
            metrics::counter!("bailiwick_budget_refusals_total", "period" => period, "reason" => reason).increment(0);
        }
    }
}

/// Those of failures that are the server's own begin for each tool.
pub(crate) fn begin_failures<'a>(tools: impl Iterator<Item = &'a str>) {
    let codes = [
        FailureCode::Internal,
        FailureCode::Unavailable,
        FailureCode::Timeout,
        FailureCode::OutcomeUnknown,
        FailureCode::Overloaded,
    ];
    for tool in tools {
        for code in codes {
            metrics::counter!("bailiwick_call_failures_total", "tool" => tool.to_owned(), "code" => code.name())
                .increment(0);
        }
    }
}

/// A budget did not allow something.
pub(super) fn budget_refused(refusal: &Refusal) {
    let reason = if refusal.is_exhausted { "exhausted" } else { "held" };
    metrics::counter!("bailiwick_budget_refusals_total", "period" => refusal.period.clone(), "reason" => reason)
        .increment(1);
}

/// A call ended.
pub(super) fn ended(tool: &'static str, outcome: Outcome, record: &Record) {
    let mut labels = vec![metrics::Label::new("tool", tool), metrics::Label::new("outcome", outcome.name())];
    if BY_TENANT.load(Ordering::Relaxed) {
        labels.push(metrics::Label::new("tenant", record.caller.tenant_id.to_string()));
    }
    metrics::counter!("bailiwick_calls_total", labels).increment(1);
    metrics::histogram!("bailiwick_call_duration_seconds", "tool" => tool).record(record.started.elapsed());
}

/// A client was told of a failure.
pub(super) fn failed(tool: &'static str, code: FailureCode) {
    metrics::counter!("bailiwick_call_failures_total", "tool" => tool, "code" => code.name()).increment(1);
}

/// A call got its turn.
pub(super) fn waited(took: Duration) {
    metrics::histogram!("bailiwick_call_wait_seconds").record(took);
}

/// How a pool stands.
pub(super) fn pool(name: &'static str, status: PoolStatus) {
    metrics::gauge!("bailiwick_pool_connections", "pool" => name).set(count(status.open));
    metrics::gauge!("bailiwick_pool_connections_idle", "pool" => name).set(count(status.idle));
    metrics::gauge!("bailiwick_pool_connections_max", "pool" => name).set(count(status.most));
    metrics::gauge!("bailiwick_pool_waiting", "pool" => name).set(count(status.waiting));
}

/// Something was read that a replica may be asked for.
pub(super) fn read(from: &'static str, reason: &'static str) {
    metrics::counter!("bailiwick_replica_reads_total", "from" => from, "reason" => reason).increment(1);
}

/// How old what the replica shows is at most.
pub(super) fn replica(lag: Option<Duration>) {
    metrics::gauge!("bailiwick_replica_lag_seconds").set(lag.map_or(f64::INFINITY, |lag| lag.as_secs_f64()));
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
    number as f64
}

/// How the database archives its log.
pub(super) fn wal_archive(archive: WalArchive) {
    metrics::gauge!("bailiwick_wal_archiving").set(f64::from(u8::from(archive.is_on)));
    metrics::gauge!("bailiwick_wal_archive_failing").set(f64::from(u8::from(archive.is_failing)));
    metrics::gauge!("bailiwick_wal_unarchived_bytes").set(archive.unarchived_bytes as f64);
}

/// What waits for upkeep.
pub(super) fn backlog(database: &str, backlog: Backlog) {
    let Backlog { unsealed_s, stray_audit_logs, stray_costs, unmerged_chunks, months_ahead } = backlog;
    show(
        database,
        unsealed_s,
        [stray_audit_logs, stray_costs, unmerged_chunks, months_ahead].map(|count| count as f64),
    );
    let now = jiff::Timestamp::now().as_duration().as_secs_f64();
    metrics::gauge!("bailiwick_upkeep_seen_timestamp_seconds").set(now);
}

/// It could not be seen.
pub(super) fn backlog_unseen(database: &str) {
    show(database, f64::NAN, [f64::NAN; 4]);
}

fn show(database: &str, lag_s: f64, [audit_logs, costs, unmerged, months]: [f64; 4]) {
    metrics::gauge!("bailiwick_audit_lag_seconds", "database" => database.to_owned()).set(lag_s);
    for (table, rows) in [("audit_logs", audit_logs), ("cost_tracking", costs)] {
        metrics::gauge!("bailiwick_stray_rows", "database" => database.to_owned(), "table" => table).set(rows);
    }
    metrics::gauge!("bailiwick_maintenance_unmerged_chunks", "database" => database.to_owned()).set(unmerged);
    metrics::gauge!("bailiwick_months_ahead", "database" => database.to_owned()).set(months);
}
