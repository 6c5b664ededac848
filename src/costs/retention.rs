//! Retention: dropping the months of costs that are no longer kept, after writing them to files.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;
use serde::Serialize;
use tempfile::TempPath;
use tokio_postgres::Client;

use crate::audit::{Month, month_files};
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
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: std::io::Error },
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
            rows += write(transaction, *month, folder, &format!("{database}-cost_tracking-{month}")).await?;
        }
    }
    transaction.query(FORGET_PERIODS, &[&before.first_day()]).await?;
    let dropped = transaction.query_patiently(DROP_COST_MONTHS, &[&before.first_day()], TRIES).await?;
    let partitions = dropped.first().map_or(Ok(Vec::new()), |row| row.try_get("dropped")).map_err(DbError::from)?;
    Ok(RetiredCosts { partitions, rows })
}

/// Writes a month's rows, a JSON object a line, to the next file of that stem.
async fn write(
    transaction: &OperatorTransaction<'_>,
    month: Month,
    folder: &Path,
    stem: &str,
) -> Result<u64, RetentionError> {
    // A file of its own: servers of several clusters may share the folder. Whatever goes wrong, it goes.
    let draft = tempfile::Builder::new().prefix(&format!("{stem}.")).suffix(".part").tempfile_in(folder);
    let (file, draft) = draft.doing("write", folder)?.into_parts();
    let mut file = GzEncoder::new(BufWriter::new(file), Compression::default());
    let mut rows = 0;
    let stream = transaction.stream(COST_ROWS, &[&month.first_day()]).await?;
    let mut stream = pin!(stream);
    while let Some(row) = stream.try_next().await.map_err(DbError::from)? {
        let line: &str = row.try_get("row_json").map_err(DbError::from)?;
        file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).doing("write", &draft)?;
        rows += 1;
    }
    let file = file.finish().and_then(|file| file.into_inner().map_err(std::io::IntoInnerError::into_error));
    file.and_then(|file| file.sync_all()).doing("write", &draft)?;
    place(draft, folder, stem)?;
    Ok(rows)
}

/// Gives a draft the name behind the last of its month, unless an earlier try has left one with the same rows. Nothing is written over.
fn place(draft: TempPath, folder: &Path, stem: &str) -> Result<(), RetentionError> {
    let (there, free) = month_files(folder, stem, "jsonl.gz").doing("read", folder)?;
    let length = |path: &Path| fs::metadata(path).map(|file| file.len()).doing("read", path);
    for path in there {
        if length(&path)? == length(&draft)?
            && fs::read(&path).doing("read", &path)? == fs::read(&draft).doing("read", &draft)?
        {
            return Ok(());
        }
    }
    draft.persist_noclobber(&free).map_err(|error| error.error).doing("create", &free)?;
    File::open(folder).and_then(|folder| folder.sync_all()).doing("write", folder)
}

/// Says which file it was.
trait FileContext<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RetentionError>;
}

impl<T> FileContext<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, RetentionError> {
        self.map_err(|source| RetentionError::File { doing, path: path.to_owned(), source })
    }
}
