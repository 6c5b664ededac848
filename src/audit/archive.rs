//! A month of the trail in a file: JSON lines, readable and checkable without the database.
//!
//! A header comes first, then each seal that covers a row of the month with its leaves, and behind it the month's rows
//! that it covers, in the order of their ids; the last line counts them.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::entry::entries;
use super::error::FileContext;
use super::{AuditError, AuditRow, Moment, Month, Seal, chain};
use crate::db::{DbError, OperatorTransaction};

const ROWS: &str = include_str!("../../sql/queries/audit/rows.sql");
const SEALS: &str = include_str!("../../sql/queries/audit/seals.sql");
const UNSEALED_OF_MONTH: &str = include_str!("../../sql/queries/audit/unsealed_of_month.sql");
const DATABASE: &str = include_str!("../../sql/queries/audit/database.sql");

/// Names the format in an archive's first line.
const FORMAT: &str = "bailiwick-audit-archive-1";
/// Leaves that are held at a time.
const BATCH_BYTES: i64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Header { format: String, database: String, month: Month },
    Seal(Box<Seal>),
    Row(Box<AuditRow>),
    End(Counts),
}

/// What is in an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Rows of the month.
    pub rows: u64,
    /// Seals that cover one of them.
    pub seals: u64,
}

/// Writes the month's rows and seals to a new file, which appears when it is whole and on the disk. Of a month that was retired these
/// are the rows that came since.
///
/// # Errors
/// [`AuditError::Refused`] if the month is not sealed to its last row, was retired and nothing came since, or the file is there;
/// any other.
pub async fn export(client: &Client, month: Month, path: &Path) -> Result<Counts, AuditError> {
    if path.exists() {
        return Err(AuditError::Refused(format!("{} is there already and is not overwritten", path.display())));
    }
    let draft = draft_of(path);
    let transaction = OperatorTransaction::begin_snapshot(client).await?;
    let written = write(&transaction, month, &draft).await;
    let written = transaction.end(written).await;
    // A hard link replaces nobody's file, as a rename would.
    let placed = match &written {
        Ok(_) => fs::hard_link(&draft, path).doing("create", path),
        Err(_) => Ok(()),
    };
    let _ = fs::remove_file(&draft);
    placed?;
    if let (Ok(_), Some(folder)) = (&written, path.parent()) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder).and_then(|folder| folder.sync_all()).doing("write", folder)?;
    }
    written
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    name.into()
}

async fn write(transaction: &OperatorTransaction<'_>, month: Month, draft: &Path) -> Result<Counts, AuditError> {
    let retired = retired_before(transaction, month).await?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(draft).doing("create", draft)?;
    let mut file = BufWriter::new(file);
    let mut put = |line: &Line| -> Result<(), AuditError> {
        serde_json::to_writer(&mut file, line).map_err(std::io::Error::from).doing("write", draft)?;
        file.write_all(b"\n").doing("write", draft)
    };
    let database = first(transaction, DATABASE, &[]).await?;
    put(&Line::Header { format: FORMAT.to_owned(), database, month })?;
    let (mut counts, mut seal_no) = (Counts::default(), i64::MIN);
    loop {
        let rows = transaction.query(SEALS, &[&seal_no, &BATCH_BYTES]).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let seal = Seal::read(row)?;
            seal_no = seal.seal_no;
            if !covers(&seal, month) {
                continue;
            }
            let range = (seal.first_id, seal.last_id);
            let mut unwritten = Some(seal);
            // What was retired is in a file already: only what came since is without one, and a seal has all of its rows of a month or
            // none. A month that was not retired is written as it should be, so that a row that is gone is missed.
            if retired.is_none() {
                put_seal(&mut unwritten, &mut counts, &mut put)?;
            }
            let stream = transaction.stream(ROWS, &[&range.0, &range.1, &None::<i64>]).await?;
            let mut stream = pin!(stream);
            while let Some(row) = stream.try_next().await.map_err(DbError::from)? {
                let row = AuditRow::read(&row)?;
                if (month.begin()..month.end()).contains(&row.timestamp) {
                    put_seal(&mut unwritten, &mut counts, &mut put)?;
                    put(&Line::Row(Box::new(row)))?;
                    counts.rows += 1;
                }
            }
        }
    }
    if let (Some(retained_from), 0) = (retired, counts.rows) {
        return Err(AuditError::Refused(format!("{month} was retired: rows are kept from {retained_from} on")));
    }
    put(&Line::End(counts))?;
    file.flush().doing("write", draft)?;
    file.get_ref().sync_all().doing("write", draft)?;
    Ok(counts)
}

/// Writes the seal before its first row.
fn put_seal(
    unwritten: &mut Option<Seal>,
    counts: &mut Counts,
    put: &mut impl FnMut(&Line) -> Result<(), AuditError>,
) -> Result<(), AuditError> {
    let Some(seal) = unwritten.take() else { return Ok(()) };
    counts.seals += 1;
    put(&Line::Seal(Box::new(seal)))
}

/// Since when rows are kept, if that is after the month's beginning. Refuses a month that is not sealed to its last row.
async fn retired_before(transaction: &OperatorTransaction<'_>, month: Month) -> Result<Option<Moment>, AuditError> {
    let last = chain::last_seal(transaction).await?;
    let sealed_id = last.as_ref().map_or(0, |last| last.last_id);
    let unsealed: i64 = first(transaction, UNSEALED_OF_MONTH, &[&sealed_id, &month.begin(), &month.end()]).await?;
    if unsealed > 0 {
        return Err(AuditError::Refused(format!(
            "{unsealed} rows of {month} are not sealed yet: `bailiwick maintain` seals them"
        )));
    }
    Ok(last.and_then(|last| last.retained_from).filter(|retained_from| *retained_from > month.begin()))
}

async fn first<T: for<'a> tokio_postgres::types::FromSql<'a>>(
    transaction: &OperatorTransaction<'_>,
    sql: &'static str,
    parameters: &[crate::db::Parameter<'_>],
) -> Result<T, DbError> {
    let rows = transaction.query(sql, parameters).await?;
    Ok(rows.first().ok_or_else(|| DbError::Other("no row".to_owned()))?.try_get(0)?)
}

fn covers(seal: &Seal, month: Month) -> bool {
    let within = |leaves| {
        entries(leaves).is_some_and(|mut all| all.any(|entry| (month.begin()..month.end()).contains(&entry.timestamp)))
    };
    seal.latest_timestamp >= Some(month.begin()) && seal.leaves.as_deref().is_some_and(within)
}

/// Reads an archive a line at a time.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl Lines {
    /// Opens it and reads its header: the database it is of, and the month.
    pub fn open(path: &Path) -> Result<(Self, String, Month), AuditError> {
        let reader = BufReader::new(File::open(path).doing("read", path)?);
        let mut lines = Self { path: path.to_owned(), reader, line: 0 };
        match lines.next()? {
            Some(Line::Header { format, database, month }) if format == FORMAT => Ok((lines, database, month)),
            _ => Err(lines.refuse(format!("no header of {FORMAT}"))),
        }
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Line>, AuditError> {
        let mut text = String::new();
        self.line += 1;
        if self.reader.read_line(&mut text).doing("read", &self.path)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).map_err(|error| self.refuse(error.to_string()))
    }

    /// An error about the line read last.
    pub fn refuse(&self, reason: String) -> AuditError {
        AuditError::Archive { path: self.path.clone(), line: self.line, reason }
    }
}
