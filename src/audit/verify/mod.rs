//! Finds what was changed behind the seals: every seal, every row, every head that was kept outside.

mod archived;
mod findings;
mod kept;
mod links;
mod matching;

use std::pin::pin;

use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

pub use archived::{ArchiveReport, check_archive};
pub use findings::{BadRow, Fault, FaultKind, Findings};

use self::kept::KeptHeads;
use self::links::Links;
use self::matching::{Expected, Matching};
use super::{AuditError, AuditRow, KnownHead, Moment, Seal, TrustedKeys, chain};
use crate::db::{DbError, OperatorTransaction};

const ROWS: &str = include_str!("../../../sql/queries/audit/rows.sql");
const SEALS: &str = include_str!("../../../sql/queries/audit/seals.sql");
const TENANTS: &str = include_str!("../../../sql/queries/audit/tenants.sql");
const UNSEALED: &str = include_str!("../../../sql/queries/audit/unsealed.sql");

/// Leaves that are held at a time: so many bytes, and those of one seal more.
const BATCH_BYTES: i64 = 4 << 20;

/// What is known from outside of the database.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    /// Keys whose signatures are believed; none are checked if there are none.
    pub trusted: TrustedKeys,
    /// Heads that were kept.
    pub heads: Vec<KnownHead>,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verification {
    /// Rows compared with their leaf.
    pub rows_checked: u64,
    /// Seals checked.
    pub seals_checked: u64,
    /// Whether signatures were.
    pub signatures_checked: bool,
    /// Heads from outside that were looked for.
    pub heads_checked: usize,
    /// Rows that are not sealed yet.
    pub unsealed_rows: i64,
    /// Every call closed before this moment is sealed.
    pub sealed_until: Option<Moment>,
    /// Rows of calls that began before this moment may have been retired.
    pub retained_from: Option<Moment>,
    /// What is wrong.
    #[serde(flatten)]
    pub findings: Findings,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.fault_count == 0
    }
}

/// Checks the whole trail as it is at one moment, while calls and seals may go on. Takes memory for some megabytes of
/// leaves, however long the trail.
///
/// # Errors
/// Any [`AuditError`]; what is wrong with the trail is no error.
pub async fn verify(client: &Client, expectations: &Expectations) -> Result<Verification, AuditError> {
    let transaction = OperatorTransaction::begin_snapshot(client).await?;
    let work = work(&transaction, expectations).await;
    Ok(transaction.end(work).await?)
}

async fn work(
    transaction: &OperatorTransaction<'_>,
    Expectations { trusted, heads }: &Expectations,
) -> Result<Verification, DbError> {
    let last = chain::last_seal(transaction).await?;
    let retained_from = last.as_ref().and_then(|last| last.retained_from);
    let mut done = Verification {
        signatures_checked: !trusted.is_empty(),
        heads_checked: heads.len(),
        sealed_until: last.map(|last| last.sealed_until),
        retained_from,
        ..Verification::default()
    };
    let (mut links, mut kept) = (Links::new(trusted, false, retained_from), KeptHeads::new(heads));
    let (mut seal_no, mut next_id) = (i64::MIN, i64::MIN);
    loop {
        let rows = transaction.query(SEALS, &[&seal_no, &BATCH_BYTES]).await?;
        let seals: Vec<Seal> = rows.iter().map(Seal::read).collect::<Result<_, _>>()?;
        let Some(last) = seals.last() else { break };
        seal_no = last.seal_no;
        for seal in &seals {
            links.check(seal, &mut done.findings);
            kept.check(seal, &mut done.findings);
        }
        done.seals_checked += seals.len() as u64;
        next_id = compare(transaction, &seals, next_id, &mut done).await?;
    }
    links.end(&mut done.findings);
    kept.end(&mut done.findings);
    rest(transaction, next_id, &mut done).await?;
    if !done.is_sound() {
        let rows = transaction.query(TENANTS, &[]).await?;
        let tenants: Vec<Uuid> = rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
        done.findings.name_moves(&tenants);
    }
    Ok(done)
}

/// Compares the seals' leaves with the rows from that id to the last seal's end; returns the id after it.
async fn compare(
    transaction: &OperatorTransaction<'_>,
    seals: &[Seal],
    first_id: i64,
    done: &mut Verification,
) -> Result<i64, DbError> {
    let last_id = seals.iter().map(|seal| seal.last_id).max().unwrap_or(first_id);
    let stream = transaction.stream(ROWS, &[&first_id, &last_id, &None::<i64>]).await?;
    let mut stream = pin!(stream);
    let expected = Expected::Since(done.retained_from);
    let mut later = seals.iter().map(|seal| (seal.last_id, Matching::new(seal, expected)));
    let mut current = later.next();
    while let Some(row) = stream.try_next().await? {
        let row = AuditRow::read(&row)?;
        while let Some((_, matching)) = current.take_if(|(last_id, _)| *last_id < row.id) {
            matching.end(&mut done.findings);
            current = later.next();
        }
        match &mut current {
            Some((_, matching)) => matching.row(&row, &mut done.findings),
            None => done.findings.unsealed(None, &row, "is under no seal, and seals of later rows are there"),
        }
        done.rows_checked += 1;
    }
    for (_, matching) in current.into_iter().chain(later) {
        matching.end(&mut done.findings);
    }
    Ok(first_id.max(last_id.saturating_add(1)))
}

/// What lies behind the last seal: not sealed yet, or never given out.
async fn rest(transaction: &OperatorTransaction<'_>, next_id: i64, done: &mut Verification) -> Result<(), DbError> {
    let rows = transaction.query(UNSEALED, &[&next_id.saturating_sub(1)]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    done.unsealed_rows = row.try_get("row_count")?;
    let Some(foreign_id): Option<i64> = row.try_get("foreign_id")? else { return Ok(()) };
    for row in transaction.query(ROWS, &[&foreign_id, &i64::MAX, &Some(100_i64)]).await? {
        let row = AuditRow::read(&row)?;
        done.findings.unsealed(None, &row, "has an id that was never given out");
    }
    Ok(())
}
