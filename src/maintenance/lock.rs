use std::time::Duration;

use tokio_postgres::Client;

use crate::db::DbError;
use crate::identity::TenantId;

/// The lock for all work on vector indexes.
pub(crate) const VECTORS: i64 = i64::from_be_bytes(*b"bwvector");

/// The lock for sealing the audit trail.
pub(crate) const SEALS: i64 = i64::from_be_bytes(*b"bwseals\0");

/// The lock for what is due by the calendar.
pub(crate) const HOUSE: i64 = i64::from_be_bytes(*b"bwhouse\0");

/// The lock for moving the database to another embedding model.
pub(crate) const MOVES: i64 = i64::from_be_bytes(*b"bwmoves\0");

/// Takes a maintenance lock for this connection, if nobody has it. It ends with the connection at the latest.
pub(crate) async fn try_take(client: &Client, key: i64) -> Result<bool, DbError> {
    let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).await?;
    Ok(row.try_get(0)?)
}

/// Waits for it. Not within the database: a session that waits there holds a snapshot, for whose end a build of an index
/// (CREATE INDEX CONCURRENTLY, by the one who has the lock) would wait in turn.
pub(crate) async fn take(client: &Client, key: i64) -> Result<(), DbError> {
    while !try_take(client, key).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Gives it back.
pub(crate) async fn release(client: &Client, key: i64) -> Result<(), DbError> {
    client.execute("SELECT pg_advisory_unlock($1)", &[&key]).await?;
    Ok(())
}

/// The lock of a tenant's word index. An id is random enough for half of it to name a lock; "index" tells it from other uses.
pub(crate) fn of(tenant_id: TenantId) -> i64 {
    let (high, low) = tenant_id.as_uuid().as_u64_pair();
    i64::from_ne_bytes((high ^ low.rotate_left(32) ^ u64::from_be_bytes(*b"\0\0\0index")).to_ne_bytes())
}

/// The lock of a tenant that is being imported.
pub(crate) fn import_of(tenant_id: TenantId) -> i64 {
    of(tenant_id) ^ i64::from_be_bytes(*b"\0\0import")
}
