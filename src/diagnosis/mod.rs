//! What is wrong with a deployment, or soon will be, found by asking its database and its surroundings.
//!
//! Each check of the database is one statement (`sql/queries/diagnosis`) that returns a line for each fault and nothing where
//! there is none, so that a check is shown to bite by planting its fault.

mod archiving;
mod checks;
mod embedder;
mod finding;
mod surroundings;

pub use archiving::{archives_elsewhere, examine_archiving, of_archive_disk, of_other_archive, of_used_archive};
pub use checks::{CHECKS, Check};
pub use embedder::of_embedder;
pub use finding::{Finding, Severity};
pub use surroundings::{Surroundings, of_server};

use tokio_postgres::Client;

use crate::db::{DbError, admin};

/// Everything that the checks find, the worst first; a check that cannot be made is a finding itself.
///
/// # Errors
/// [`DbError::Unavailable`] if the database is gone.
pub async fn examine(client: &Client, surroundings: &Surroundings) -> Result<Vec<Finding>, DbError> {
    admin::see_all_tenants(client).await?;
    let mut findings = surroundings.examine(client).await?;
    findings.extend(archiving::of_server(client).await?);
    for check in CHECKS {
        findings.extend(ask(client, check).await?);
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// What one check finds.
///
/// # Errors
/// [`DbError::Unavailable`] if the database is gone.
pub async fn ask(client: &Client, check: &Check) -> Result<Vec<Finding>, DbError> {
    match admin::diagnose(client, check.sql).await {
        Ok(rows) => Ok(rows.into_iter().map(|(subject, detail)| check.finding(subject, detail)).collect()),
        Err(error @ DbError::Unavailable(_)) => Err(error),
        Err(error) => Ok(vec![blind(check.name, &error)]),
    }
}

/// That a check could not be made.
fn blind(check: &'static str, error: &DbError) -> Finding {
    Finding {
        check,
        severity: Severity::Warning,
        subject: "doctor".to_owned(),
        detail: format!("could not look: {error}"),
        remedy: "give the administrator's role the right to see it, or run doctor as a superuser".to_owned(),
    }
}
