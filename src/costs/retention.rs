//! Retention: dropping the months of costs that are no longer kept, after writing them to files.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_postgres::Client;

use crate::audit::Month;
use crate::db::{DbError, OperatorTransaction};

const HOLD_COST_MONTHS: &str = include_str!("../../sql/queries/administration/hold_cost_months.sql");
const COST_ROWS: &str = include_str!("../../sql/queries/administration/cost_rows.sql");
const FORGET_PERIODS: &str = include_str!("../../sql/queries/administration/forget_periods.sql");
const DROP_COST_MONTHS: &str = include_str!("../../sql/queries/administration/drop_cost_months.sql");

/// The partitions are taken off under a lock against every call, which is waited for a fifth of a second at a time.
const TRIES: u32 = 60;

/// What was dropped.
#[derive(Debug, Clone, Serialize)]
pub struct RetiredCosts {
    /// Partitions.
    pub partitions: Vec<String>,
    /// Rows that were written to files; none where there is no folder.
    pub rows: u64,
}

/// Why nothing was dropped.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RetentionError {
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

/// The files of a month that are there, by their numbers from 1 on, and the first that is not: what came once a month was written is
/// in a second file, and nothing is ever written over.
pub(crate) fn files(name: impl Fn(usize) -> PathBuf) -> (Vec<PathBuf>, PathBuf) {
    let there: Vec<PathBuf> = (1..).map(&name).take_while(|path| path.exists()).collect();
    let free = name(there.len() + 1);
    (there, free)
}

/// Drops these months, all that end by the beginning of `before`, with what was summed up of them. With a folder each is
/// written to a file of it first, which is on the disk before its month is gone. Nobody can add to a month meanwhile.
///
/// # Errors
/// [`RetentionError`]; [`DbError::TimedOut`] if calls keep the table busy. Nothing is dropped then.
pub async fn retire(
    client: &Client,
    months: &[Month],
    before: Month,
    folder: Option<&Path>,
    database: &str,
) -> Result<RetiredCosts, RetentionError> {
    let transaction = OperatorTransaction::begin(client).await?;
    let work = work(&transaction, months, before, folder, database).await;
    transaction.end(work).await
}

async fn work(
    transaction: &OperatorTransaction<'_>,
    months: &[Month],
    before: Month,
    folder: Option<&Path>,
    database: &str,
) -> Result<RetiredCosts, RetentionError> {
    transaction.query(HOLD_COST_MONTHS, &[&before.first_day()]).await?;
    let mut rows = 0;
    if let Some(folder) = folder {
        for month in months {
            rows += write(transaction, *month, &folder.join(format!("{database}-cost_tracking-{month}"))).await?;
        }
    }
    transaction.query(FORGET_PERIODS, &[&before.first_day()]).await?;
    let dropped = transaction.query_patiently(DROP_COST_MONTHS, &[&before.first_day()], TRIES).await?;
    let partitions = dropped.first().map_or(Ok(Vec::new()), |row| row.try_get("dropped")).map_err(DbError::from)?;
    Ok(RetiredCosts { partitions, rows })
}

/// Writes a month's rows, a JSON object a line, to the first file of that stem that is not there.
async fn write(transaction: &OperatorTransaction<'_>, month: Month, stem: &Path) -> Result<u64, RetentionError> {
    let with = |suffix: String| {
        let mut path = stem.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    let draft = with(format!(".{}.part", std::process::id()));
    let fault = |source| RetentionError::File { path: draft.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft).map_err(fault)?;
    let mut file = GzEncoder::new(BufWriter::new(file), Compression::default());
    let mut rows = 0;
    let stream = transaction.stream(COST_ROWS, &[&month.first_day()]).await?;
    let mut stream = pin!(stream);
    while let Some(row) = stream.try_next().await.map_err(DbError::from)? {
        let line: &str = row.try_get("row_json").map_err(DbError::from)?;
        file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(fault)?;
        rows += 1;
    }
    let file = file.finish().and_then(|file| file.into_inner().map_err(std::io::IntoInnerError::into_error));
    file.and_then(|file| file.sync_all()).map_err(fault)?;
    let placed = place(&draft, |number| match number {
        1 => with(".jsonl.gz".to_owned()),
        number => with(format!(".{number}.jsonl.gz")),
    });
    let _ = fs::remove_file(&draft);
    placed.map(|()| rows).map_err(fault)
}

/// Gives a draft the first name that is free, unless an earlier try has left one with the same rows.
fn place(draft: &Path, name: impl Fn(usize) -> PathBuf) -> std::io::Result<()> {
    let (there, free) = files(name);
    let written = fs::read(draft)?;
    for path in there {
        if fs::read(path)? == written {
            return Ok(());
        }
    }
    fs::hard_link(draft, &free)?;
    let folder = free.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
