//! Retention: dropping the months that were archived, and saying so in the chain.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use tokio_postgres::Client;

use super::chain::{self, Leaves};
use super::ids::Ids;
use super::verify::{ArchiveReport, Expectations, Findings, check_archive, verify};
use super::{AuditError, Keeping, Month, Seal};
use crate::db::{DbError, OperatorTransaction};
use crate::maintenance::lock;

const MONTHS_BEFORE: &str = include_str!("../../sql/queries/audit/months_before.sql");
const ROWS_HELD: &str = include_str!("../../sql/queries/audit/rows_held.sql");
const HOLD_MONTHS: &str = include_str!("../../sql/queries/audit/hold_months.sql");
const RETIRE: &str = include_str!("../../sql/queries/audit/retire.sql");
const DROP_LEAVES: &str = include_str!("../../sql/queries/audit/drop_leaves.sql");

/// The partitions are taken off under a lock against every call, which is waited for a fifth of a second at a time.
const TRIES: u32 = 60;

/// What was retired.
#[derive(Debug, Clone, Serialize)]
pub struct Retired {
    /// Partitions dropped.
    pub partitions: Vec<String>,
    /// Rows that were in them.
    pub rows: u64,
    /// The seal that says so.
    pub seal_no: i64,
}

/// Drops the months that end by the beginning of `before`, all of whose rows must be in the archives, and writes a seal
/// that says so.
///
/// The trail and the archives are checked first, and the archives' heads must be in the trail's chain. Then each row of an
/// archive is a sealed one, and each row of the trail too, so that equal ids are equal rows. A month may have several archives:
/// rows that came once it was written have one of their own.
///
/// # Errors
/// [`AuditError::Outgrown`] or [`AuditError::Refused`] if a row would be lost; [`DbError::TimedOut`] if somebody keeps the trail
/// busy.
pub async fn retire(
    client: &Client,
    before: Month,
    archives: &[PathBuf],
    expectations: &Expectations,
    keeping: &Keeping,
) -> Result<Retired, AuditError> {
    let mut expectations = expectations.clone();
    let mut reports = Vec::new();
    for path in archives {
        let mut report = check_archive(path, &expectations.trusted)?;
        sound(&report.findings, &report.file)?;
        expectations.heads.append(&mut report.heads);
        reports.push(report);
    }
    sound(&verify(client, &expectations).await?.findings, "the trail")?;
    lock::take(client, lock::SEALS).await?;
    let done = locked(client, before, &reports, keeping).await;
    lock::release(client, lock::SEALS).await?;
    let (retired, database, seal) = done?;
    chain::publish(keeping, database, seal).await;
    Ok(retired)
}

async fn locked(
    client: &Client,
    before: Month,
    archives: &[ArchiveReport],
    keeping: &Keeping,
) -> Result<(Retired, String, Seal), AuditError> {
    let transaction = OperatorTransaction::begin(client).await?;
    let work = work(&transaction, before, archives, keeping).await;
    transaction.end(work).await
}

async fn work(
    transaction: &OperatorTransaction<'_>,
    before: Month,
    archives: &[ArchiveReport],
    keeping: &Keeping,
) -> Result<(Retired, String, Seal), AuditError> {
    // Rows of this month and later are still to come, and need their partitions.
    let this_month = Timestamp::now().to_zoned(TimeZone::UTC).date().first_of_month();
    if before.begin() > Month::starting(this_month).begin() {
        return refuse(format!(
            "only months that are over can be retired: at most --before {}",
            this_month.strftime("%Y-%m")
        ));
    }
    let Some(last) = chain::last_seal(transaction).await? else {
        return refuse("nothing is sealed yet".to_owned());
    };
    if !chain::may_follow(Some(&last), keeping) {
        return refuse("the seals are signed, and without the key (BAILIWICK_AUDIT_KEY) none can follow".to_owned());
    }
    transaction.query(HOLD_MONTHS, &[&before.first_day()]).await?;
    let rows = covered(transaction, before, &last, archives).await?;
    let retained_from = last.retained_from.max(Some(before.begin()));
    let seal =
        chain::next_seal(Some(&last), Leaves::default(), last.last_id, last.sealed_until, retained_from, keeping);
    let Some(database) = chain::add(transaction, &seal).await? else {
        return refuse("somebody else sealed at the same moment: try again".to_owned());
    };
    transaction.query(DROP_LEAVES, &[&retained_from]).await?;
    // Last, for from here on to the commit every call waits.
    let dropped = transaction.query_patiently(RETIRE, &[&before.first_day()], TRIES).await?;
    let partitions = dropped.first().map_or(Ok(Vec::new()), |row| row.try_get("dropped")).map_err(DbError::from)?;
    Ok((Retired { partitions, rows, seal_no: seal.seal_no }, database, seal))
}

/// Refuses unless every row from before that month is sealed, in a month's partition, and in an archive; counts them.
async fn covered(
    transaction: &OperatorTransaction<'_>,
    before: Month,
    last: &Seal,
    archives: &[ArchiveReport],
) -> Result<u64, AuditError> {
    let mut all = 0;
    for row in transaction.query(MONTHS_BEFORE, &[&before.begin(), &last.last_id]).await? {
        let read = || -> Result<(String, i64, i64, i64), DbError> {
            Ok((
                row.try_get("month")?,
                row.try_get("row_count")?,
                row.try_get("unsealed_count")?,
                row.try_get("default_count")?,
            ))
        };
        let (month, rows, unsealed, elsewhere) = read()?;
        if elsewhere > 0 {
            return refuse(format!("{elsewhere} rows of {month} are in audit_logs_default, which is never dropped"));
        }
        if unsealed > 0 {
            return refuse(format!("{unsealed} rows of {month} are not sealed yet"));
        }
        let archives: Vec<_> = archives.iter().filter(|archive| archive.month.to_string() == month).collect();
        let Some(first) = archives.first() else {
            return refuse(format!("no archive of {month} was given, and it has {rows} rows"));
        };
        let (of, ids) = (first.month, Ids::multirange(archives.iter().map(|archive| &archive.ids)));
        let held = transaction.query(ROWS_HELD, &[&of.begin(), &of.end(), &ids]).await?;
        let held = held.first().map_or(Ok(0), |row| row.try_get("held")).map_err(DbError::from)?;
        if held != rows {
            let archives = archives.iter().map(|archive| archive.file.as_str()).collect::<Vec<_>>().join(" with ");
            return Err(AuditError::Outgrown { archives, month: of, held, rows });
        }
        all += u64::try_from(rows).unwrap_or_default();
    }
    Ok(all)
}

fn sound(findings: &Findings, whose: &str) -> Result<(), AuditError> {
    match findings.faults.first() {
        None => Ok(()),
        Some(fault) => refuse(format!(
            "{whose} has {} faults (`bailiwick audit verify` lists them), the first: {fault}",
            findings.fault_count
        )),
    }
}

fn refuse<T>(reason: String) -> Result<T, AuditError> {
    Err(AuditError::Refused(reason))
}
