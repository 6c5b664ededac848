use crate::db::DbError;
use crate::db::connection::{Connection, Prepared};
use crate::db::system::replica::{Origin, ReplicaStanding};

pub(in crate::db) use crate::db::system::replica::STANDING as MOMENT;

/// What a transaction on a replica sees at least.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) struct Moment {
    /// Up to there the primary's log is replayed.
    pub place: u64,
    /// Whose log that is: behind a name of several servers each connection may lead to another.
    pub origin: Origin,
}

/// Begins a transaction by which nothing is written, whatever becomes of the server that it runs on. Each of its statements sees
/// what is there by then, whatever is set for the role: a snapshot of the first would be older than the moment.
#[expect(clippy::disallowed_methods, reason = "BEGIN belongs to the transaction guard")]
pub(in crate::db) async fn begin_reading(connection: &Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY").await?)
}

/// How far the replica has replayed; `None` if it is none, or none any more.
pub(in crate::db) async fn ask(connection: &Connection, statement: &Prepared) -> Result<Option<Moment>, DbError> {
    let standing = ReplicaStanding::of(&connection.query_one(statement, &[]).await?)?;
    let place = standing.place.filter(|_| standing.is_replaying);
    Ok(place.map(|place| Moment { place, origin: standing.origin }))
}
