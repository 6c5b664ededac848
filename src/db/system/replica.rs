use tokio_postgres::Row;
use tokio_postgres::types::PgLsn;

use super::System;
use crate::db::DbError;

const HEAD: &str = include_str!("../../../sql/queries/replica/head.sql");
pub(in crate::db) const STANDING: &str = include_str!("../../../sql/queries/replica/standing.sql");

/// Whose log it is, and of which database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::db) struct Origin {
    pub system_identifier: i64,
    /// Counts failovers.
    pub timeline: i32,
    pub database_id: u32,
}

/// How far the primary's log goes.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) struct LogHead {
    /// In bytes from its beginning.
    pub place: u64,
    pub origin: Origin,
}

/// How a replica stands.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) struct ReplicaStanding {
    pub is_replaying: bool,
    /// How far it has replayed.
    pub place: Option<u64>,
    pub origin: Origin,
}

impl System {
    /// How far the log goes; asked of a standby it fails.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub(in crate::db) async fn log_head(&self) -> Result<LogHead, DbError> {
        let row = self.query_one(HEAD, &[]).await?;
        Ok(LogHead { place: row.try_get::<_, PgLsn>("place")?.into(), origin: origin(&row)? })
    }

    /// How a replica stands.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub(in crate::db) async fn replica_standing(&self) -> Result<ReplicaStanding, DbError> {
        ReplicaStanding::of(&self.query_one(STANDING, &[]).await?)
    }
}

impl ReplicaStanding {
    /// What [`STANDING`] says.
    pub(in crate::db) fn of(row: &Row) -> Result<Self, DbError> {
        let place = row.try_get::<_, Option<PgLsn>>("place")?.map(u64::from);
        Ok(Self { is_replaying: row.try_get("is_replaying")?, place, origin: origin(row)? })
    }
}

fn origin(row: &Row) -> Result<Origin, DbError> {
    Ok(Origin {
        system_identifier: row.try_get("system_identifier")?,
        timeline: row.try_get("timeline")?,
        database_id: row.try_get("database_id")?,
    })
}
