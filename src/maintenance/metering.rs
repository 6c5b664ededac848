//! Figures of the background's work, for whoever collects them.

use jiff::Timestamp;

use super::{Kept, Report};
use crate::audit::Sealed;

/// The background's work on the audit trail.
pub(super) const SEALS: &str = "seals";

/// All the kinds of work that may fail.
const WORK: [&str; 10] = [
    "postings",
    "vectors",
    SEALS,
    "house",
    "tenant",
    "partitions",
    "statistics",
    "retention of the trail",
    "retention of costs",
    "purges",
];

/// Describes the figures to the collector, once it is installed.
pub fn describe() {
    metrics::describe_counter!("bailiwick_maintenance_merged_chunks_total", "Chunks merged into posting blocks.");
    metrics::describe_counter!("bailiwick_maintenance_purged_chunks_total", "Deleted chunks cleared away.");
    metrics::describe_counter!("bailiwick_maintenance_vector_indexes_total", "Vector indexes made and dropped.");
    metrics::describe_counter!("bailiwick_maintenance_failures_total", "Failures of the background's work, by kind.");
    metrics::describe_counter!("bailiwick_months_retired_total", "Months that were dropped, by table.");
    metrics::describe_counter!("bailiwick_tenants_purged_total", "Deleted tenants whose rows were purged.");
    metrics::describe_gauge!(
        "bailiwick_audit_sealed_timestamp_seconds",
        metrics::Unit::Seconds,
        "When this server last found the audit trail sealed to its end, as Unix time."
    );
    metrics::describe_counter!("bailiwick_audit_sealed_rows_total", "Audit rows that this server sealed.");
    // An alert goes by it, and sees no increase of what appears with its first event.
    for work in WORK {
        metrics::counter!("bailiwick_maintenance_failures_total", "work" => work).increment(0);
    }
}

/// A pass ended.
pub(super) fn done(report: &Report) {
    let (mut merged, mut purged) = (0, 0);
    for tenant in &report.tenants {
        merged += tenant.merged_chunks;
        purged += tenant.purged_chunks;
        if let Some(change) = tenant.vector_index {
            metrics::counter!("bailiwick_maintenance_vector_indexes_total", "change" => change).increment(1);
        }
        if tenant.error.is_some() {
            metrics::counter!("bailiwick_maintenance_failures_total", "work" => "tenant").increment(1);
        }
    }
    metrics::counter!("bailiwick_maintenance_merged_chunks_total").increment(u64::try_from(merged).unwrap_or(u64::MAX));
    metrics::counter!("bailiwick_maintenance_purged_chunks_total").increment(u64::try_from(purged).unwrap_or(u64::MAX));
}

/// A look at the calendar ended.
pub(super) fn kept(kept: &Kept) {
    for (work, _) in &kept.failures {
        metrics::counter!("bailiwick_maintenance_failures_total", "work" => *work).increment(1);
    }
    let months = [
        ("audit_logs", kept.retired.as_ref().map_or(0, |retired| retired.partitions.len())),
        ("cost_tracking", kept.retired_costs.as_ref().map_or(0, |retired| retired.partitions.len())),
    ];
    for (table, months) in months {
        metrics::counter!("bailiwick_months_retired_total", "table" => table).increment(months as u64);
    }
    metrics::counter!("bailiwick_tenants_purged_total").increment(kept.purged.len() as u64);
}

/// The work ended with an error, and will be tried again.
pub(super) fn failed(work: &'static str) {
    metrics::counter!("bailiwick_maintenance_failures_total", "work" => work).increment(1);
}

/// A pass over the audit trail ended. What another server seals is in that server's figures.
pub(super) fn sealed(sealed: Sealed) {
    match sealed {
        Sealed::Nothing => {}
        Sealed::Rows { rows, .. } => {
            metrics::counter!("bailiwick_audit_sealed_rows_total").increment(u64::try_from(rows).unwrap_or_default());
        }
        Sealed::Busy | Sealed::Pending | Sealed::KeyMissing => return,
    }
    metrics::gauge!("bailiwick_audit_sealed_timestamp_seconds").set(Timestamp::now().as_duration().as_secs_f64());
}
