//! What is wrong with a deployment, or soon will be, found by asking its database and its surroundings.
//!
//! Each check of the database is one statement (`sql/queries/diagnosis`) that returns a line for each fault and nothing where
//! there is none, so that a check is shown to bite by planting its fault.

mod application;
mod archiving;
mod checks;
mod embedder;
mod finding;
mod schema;
mod surroundings;

pub use application::of_application;
pub use archiving::{archives_elsewhere, examine_archiving, of_archive_disk, of_other_archive, of_used_archive};
pub use checks::{CHECKS, Check};
pub use embedder::of_embedder;
pub use finding::{Finding, Severity};
pub use surroundings::{SchemaState, Surroundings, of_server};

use tokio_postgres::Client;

use crate::db::{DbError, admin};

/// What the checks find, and of what.
#[derive(Debug)]
pub struct Examined {
    /// The worst first; a check that cannot be made is a finding itself.
    pub findings: Vec<Finding>,
    /// Whose schema it is.
    pub schema: SchemaState,
}

/// Makes every check. Where no schema is, what would be asked of it is left out; with one of another version, so is the comparison with this
/// one's.
///
/// # Errors
/// [`DbError::Unavailable`] if the database is gone.
pub async fn examine(client: &Client, surroundings: &Surroundings) -> Result<Examined, DbError> {
    admin::begin_checks(client).await?;
    let (mut findings, schema) = surroundings.examine(client).await?;
    findings.extend(archiving::of_server(client).await?);
    if schema != SchemaState::Absent {
        for check in CHECKS {
            findings.extend(ask(client, check).await?);
        }
    }
    if schema == SchemaState::Own {
        findings.extend(or_blind(client, "schema_objects", schema::examine(client).await)?);
    }
    findings.sort_by_key(|finding| finding.severity);
    if let Err(error) = admin::end_checks(client).await {
        // A caller's transaction that has failed; its session is as it was once that ends.
        tracing::debug!(%error, "time-outs are left as they were for the checks");
    }
    Ok(Examined { findings, schema })
}

/// What one check finds.
///
/// # Errors
/// [`DbError::Unavailable`] if the database is gone.
pub async fn ask(client: &Client, check: &Check) -> Result<Vec<Finding>, DbError> {
    or_blind(client, check.name, answer(client, check).await)
}

async fn answer(client: &Client, check: &Check) -> Result<Vec<Finding>, DbError> {
    if checks::OF_OTHERS.contains(&check.name) {
        must_see_statistics(client).await?;
    }
    let rows = admin::diagnose(client, check.sql).await?.into_iter();
    // Large indexes of our own are there for a use that may come.
    let rows = rows.filter(|(subject, _)| check.name != "unused_indexes" || !schema::is_own_index(subject));
    Ok(rows.map(|(subject, detail)| check.finding(subject, detail)).collect())
}

/// Refuses a role that would be shown nothing, in which nothing would be found.
async fn must_see_statistics(client: &Client) -> Result<(), DbError> {
    match admin::sees_statistics(client).await? {
        true => Ok(()),
        false => Err(DbError::Forbidden(
            "this role is not told what others' sessions and statements do (GRANT pg_monitor TO it)".to_owned(),
        )),
    }
}

/// What was found, or that it could not be looked at: whatever keeps one check from being made keeps no other. A connection that is gone
/// keeps all.
fn or_blind(
    client: &Client,
    check: &'static str,
    asked: Result<Vec<Finding>, DbError>,
) -> Result<Vec<Finding>, DbError> {
    match asked {
        Err(error) if !client.is_closed() => Ok(vec![blind(check, &error)]),
        other => other,
    }
}

/// That a check could not be made.
#[must_use]
pub fn blind(check: &'static str, error: &DbError) -> Finding {
    let remedy = match error {
        DbError::TimedOut(_) => {
            "somebody holds a lock on what it asks, or the server is overloaded: see pg_stat_activity and pg_locks, and look again"
        }
        DbError::Forbidden(_) => {
            "give the administrator's role the right to see it (GRANT pg_monitor), or run doctor as a superuser"
        }
        _ => "see PostgreSQL's log, and look again",
    };
    Finding {
        check,
        severity: Severity::Warning,
        subject: "doctor".to_owned(),
        detail: format!("could not look: {error}"),
        remedy: remedy.to_owned(),
    }
}
