//! The restored database takes its name, and what had it goes.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::bygone::Bygone;
use super::restore::{Restore, Standing, holdings};
use super::scratch::Scratch;
use super::{BackupError, Connection};
use crate::db::{DbError, admin};

const DATABASE_ID: &str = include_str!("../../sql/queries/backup/database_id.sql");

/// For a server whose answer was lost to be reached again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of it.
pub(super) struct Swapped {
    pub notes: Vec<String>,
    pub may_lack_seals: bool,
}

/// Puts the scratch database into its place in one transaction, says what of the old one comes back to life with it, and drops that.
pub(super) async fn swap(
    request: &Restore<'_>,
    client: &Client,
    scratch: &Scratch,
    standing: Option<&Standing>,
) -> Result<Swapped, BackupError> {
    let (connection, target) = (request.connection, request.connection.database());
    let aside = scratch.aside();
    let id = id_of(client, scratch.name()).await?;
    let observer = connection.maintenance().await?;
    let done = admin::put_in_place(client, &observer, scratch.name(), target, standing.map(|_| aside.as_str())).await;
    if let Err(error) = done
        && !took_place(connection, scratch, target, id, &error).await?
    {
        return Err(error.into());
    }
    let bygone = match standing {
        Some(standing) if !standing.is_empty => Some(Bygone::read(&connection.with_database(&aside), connection).await),
        _ => None,
    };
    let (mut notes, may_lack_seals) = match bygone {
        Some(Ok(bygone)) => (bygone.notes(), bygone.has_sealed_since),
        other => (vec![Bygone::unknown(request.backup.manifest(), other.and_then(Result::err).as_ref())], true),
    };
    if let Some(standing) = standing {
        notes.extend(farewell(connection, scratch, standing).await);
    }
    Ok(Swapped { notes, may_lack_seals })
}

/// Whether the database has its name although the answer was an error: that to COMMIT may have been lost. As long as the session lives
/// that COMMIT may still come to its end (it waits for a standby, say), so it is ended before anything is believed.
async fn took_place(
    connection: &Connection,
    scratch: &Scratch,
    target: &str,
    id: Option<u32>,
    error: &DbError,
) -> Result<bool, BackupError> {
    if !matches!(error, DbError::Unavailable(_)) {
        return Ok(false);
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let asked = async {
            let client = connection.maintenance().await?;
            if !scratch.end_turn(&client).await? {
                return Err(DbError::Unavailable("the session that was lost does not end".to_owned()));
            }
            id_of(&client, target).await
        };
        match asked.await {
            Ok(found) => return Ok(found.is_some() && found == id),
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(500)).await,
            Err(again) => {
                return Err(BackupError::refused(format!(
                    "the server was lost when the restored database took its place ({error}; {again}): `bailiwick restore --compare` says whether it has"
                )));
            }
        }
    }
}

async fn id_of(client: &Client, database: &str) -> Result<Option<u32>, DbError> {
    Ok(client.query(DATABASE_ID, &[&database]).await?.first().map(|row| row.try_get("id")).transpose()?)
}

/// Drops the database that was replaced, unless it was empty before and somebody has put something into it meanwhile.
async fn farewell(connection: &Connection, scratch: &Scratch, standing: &Standing) -> Option<String> {
    let aside = scratch.aside();
    let client = match connection.maintenance().await {
        Ok(client) => client,
        Err(error) => return Some(format!("the database that was replaced is still there as {aside}: {error}")),
    };
    let found = holdings(&connection.with_database(&aside)).await;
    let is_wanted = match &found {
        Ok(found) => found.holds_any && (standing.is_empty || !found.is_ours),
        // What could not be looked at was looked at before.
        Err(_) => standing.is_empty,
    };
    if !is_wanted {
        let dropped = admin::drop_database(&client, &aside).await;
        return dropped.err().map(|error| format!("the database that was replaced is still there as {aside}: {error}"));
    }
    let kept = scratch.kept();
    let name = match admin::rename_database(&client, &aside, &kept).await {
        Ok(()) => kept,
        Err(error) => {
            tracing::warn!(%error, "the database that was replaced keeps the name of one that is dropped");
            aside
        }
    };
    Some(format!("somebody put something into the database while the restore was at work: it is kept as {name}"))
}
