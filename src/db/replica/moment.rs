use tokio_postgres::types::PgLsn;

use crate::db::DbError;
use crate::db::connection::{Connection, Prepared};

pub(in crate::db) const MOMENT: &str = include_str!("../../../sql/queries/replica/moment.sql");

/// What a transaction on a replica sees at least.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) struct Moment {
    /// Up to there the primary's log is replayed.
    pub place: u64,
}

/// Begins a transaction by which nothing is written, whatever becomes of the server that it runs on.
#[expect(clippy::disallowed_methods, reason = "BEGIN belongs to the transaction guard")]
pub(in crate::db) async fn begin_reading(connection: &Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("BEGIN READ ONLY").await?)
}

/// How far the replica has replayed; `None` if it is none any more.
pub(in crate::db) async fn ask(connection: &Connection, statement: &Prepared) -> Result<Option<Moment>, DbError> {
    let row = connection.query_one(statement, &[]).await?;
    let (place, is_replaying): (Option<PgLsn>, bool) = (row.try_get("place")?, row.try_get("is_replaying")?);
    Ok(place.filter(|_| is_replaying).map(|place| Moment { place: place.into() }))
}
