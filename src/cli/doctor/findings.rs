//! What is found beside the checks of the database, in words.

use std::path::Path;

use crate::call::Stranded;
use crate::db::admin::FailedEmbeddings;
use crate::diagnosis::{Finding, Severity};
use crate::maintenance::IndexReport;

pub(super) fn not_embedded(failed: &FailedEmbeddings) -> Finding {
    Finding {
        check: "embeddings",
        severity: Severity::Fault,
        subject: failed.tenant.clone(),
        detail: format!(
            "{} documents could not be embedded ({}) and are found by words alone",
            failed.documents, failed.error
        ),
        remedy: "`bailiwick embed --retry-failed` tries them again".to_owned(),
    }
}

/// Where a server of this database lives it sends them within seconds.
pub(super) fn left_for_this(own: &Path, rows: usize) -> Option<Finding> {
    (rows > 0).then(|| Finding {
        check: "audit_spool",
        severity: Severity::Warning,
        subject: own.display().to_string(),
        detail: format!("{rows} audit rows of calls that failed wait here for the next server of this database"),
        remedy: "start `bailiwick serve` with this data folder: it sends them at once".to_owned(),
    })
}

pub(super) fn unsealed(overdue: i64) -> Option<Finding> {
    (overdue > 0).then(|| Finding {
        check: "seals",
        severity: Severity::Fault,
        subject: "audit trail".to_owned(),
        detail: format!("{overdue} calls that were closed more than ten minutes ago are not sealed"),
        remedy: "`bailiwick maintain` seals them or says what is in the way".to_owned(),
    })
}

pub(super) fn unfit_replica(detail: String) -> Finding {
    Finding {
        check: "replica",
        severity: Severity::Warning,
        subject: "read replica".to_owned(),
        detail,
        remedy: "searches are read on the primary meanwhile; docs/operations.md, \"The replica lags or is away\", says where to look".to_owned(),
    }
}

/// They may be another database's that is served at other times, or this one's from before it was restored or moved.
pub(super) fn left_elsewhere(stranded: &Stranded, own: &Path) -> Finding {
    Finding {
        check: "audit_spool",
        severity: Severity::Warning,
        subject: stranded.folder.display().to_string(),
        detail: format!(
            "{} audit rows of calls that failed wait here for a database that no server with this data folder serves now",
            stranded.rows
        ),
        remedy: format!(
            "`bailiwick serve` with the URL of that database sends them; if it has become this one, move the .jsonl files to {}",
            own.display()
        ),
    }
}

pub(super) fn left_in_plain(folder: &Path) -> Finding {
    Finding {
        check: "restore_remains",
        severity: Severity::Warning,
        subject: folder.display().to_string(),
        detail: "is what a restore of one tenant left that was killed; its documents may be in it, in plain".to_owned(),
        remedy: "remove it; the next restore with this data folder does so by itself".to_owned(),
    }
}

pub(super) fn stray(table: &str, rows: i64) -> Finding {
    Finding {
        check: "stray_rows",
        severity: Severity::Fault,
        subject: table.to_owned(),
        detail: format!("{rows} rows of {table} have no partition for their month"),
        remedy: "`bailiwick maintain` makes those of this month and the next three, and moves rows into them; rows of other months have a wrong time".to_owned(),
    }
}

/// The first few faults of an index, in its own words.
pub(super) fn of_index(slug: &str, report: &IndexReport) -> Vec<Finding> {
    let told = report.faults.iter().map(|fault| Finding {
        check: "word_index",
        severity: Severity::Fault,
        subject: slug.to_owned(),
        detail: fault.clone(),
        remedy: format!("`bailiwick maintain --rebuild --tenant {slug}` makes it anew from the documents"),
    });
    told.collect()
}
