use super::System;
use crate::db::DbError;

const WAL_ARCHIVE: &str = include_str!("../../../sql/queries/system/wal_archive.sql");

/// How the database archives its write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalArchive {
    /// Whether it does at all.
    pub is_on: bool,
    /// Whether the last try failed, or there is nothing to try with.
    pub is_failing: bool,
    /// Written and not archived; 0 where it is not archived.
    pub unarchived_bytes: i64,
}

impl System {
    /// How the database archives its write-ahead log.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn wal_archive(&self) -> Result<WalArchive, DbError> {
        let row = self.query_one(WAL_ARCHIVE, &[]).await?;
        Ok(WalArchive {
            is_on: row.try_get("is_on")?,
            is_failing: row.try_get("is_failing")?,
            unarchived_bytes: row.try_get("unarchived_bytes")?,
        })
    }
}
