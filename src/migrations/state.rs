//! What the database says about its own version.

#![expect(clippy::disallowed_methods, reason = "a migration runs as administrator, on a connection of its own")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::error::MigrationError;

/// The statements that create both tables.
pub(super) const CREATE: &str = include_str!("../../sql/migrate/create_state.sql");
const FIND: &str = include_str!("../../sql/migrate/find_state.sql");
const READ_VERSION: &str = include_str!("../../sql/migrate/read_version.sql");
const READ_HISTORY: &str = include_str!("../../sql/migrate/read_history.sql");

/// A row of our history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) name: String,
    pub(super) checksum: String,
    pub(super) applied_at: Timestamp,
}

/// golang-migrate's version, and our history of the versions up to it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) current: Option<i64>,
    pub(super) dirty: bool,
    pub(super) history: BTreeMap<i64, Recorded>,
}

/// What could be seen of the state.
#[derive(Debug)]
pub(super) enum Found {
    /// No table yet: nothing was ever applied.
    Missing,
    /// The table exists, but not for this role.
    Unreadable,
    Readable(State),
}

/// Reads the state; needs nothing but SELECT, and not even that to say that it is lacking.
pub(super) async fn read(client: &Client) -> Result<Found, MigrationError> {
    let doing = "look for the migration tables";
    let tables = client.query_one(FIND, &[]).await.map_err(MigrationError::database(doing))?;
    let has = |column| {
        let value = tables.try_get::<_, bool>(column);
        value.map_err(MigrationError::database(doing))
    };
    if !has("version_exists")? {
        return Ok(Found::Missing);
    }
    if !has("version_readable")? {
        return Ok(Found::Unreadable);
    }
    let (current, dirty) = read_version(client).await?;
    // Without a history (golang-migrate did it all) the checksums are unknown, nothing worse.
    let mut history = match has("history_readable")? {
        true => read_history(client).await?,
        false => BTreeMap::new(),
    };
    // Rows above the version are left over from a golang-migrate that went down.
    history.retain(|version, _| current.is_some_and(|current| *version <= current));
    Ok(Found::Readable(State { current, dirty, history }))
}

/// Creates what is missing of the two tables.
pub(super) async fn ensure(client: &Client) -> Result<(), MigrationError> {
    let doing = "create the migration tables in the schema public";
    let database = MigrationError::database(doing);
    let tables = client.query_one(FIND, &[]).await.map_err(database)?;
    let exists = |column| {
        let value = tables.try_get::<_, bool>(column);
        value.map_err(MigrationError::database(doing))
    };
    // Asked first, so that a repeated run neither needs CREATE on the schema nor raises notices.
    if exists("version_exists")? && exists("history_exists")? {
        return Ok(());
    }
    let created = client.batch_execute(CREATE).await;
    created.map_err(MigrationError::database(doing))
}

async fn read_version(client: &Client) -> Result<(Option<i64>, bool), MigrationError> {
    let foreign = |reason: String| MigrationError::ForeignTable { reason };
    let rows = match client.query(READ_VERSION, &[]).await {
        Ok(rows) => rows,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => {
            return Err(foreign("it lacks a column version or dirty".into()));
        }
        Err(error) => return Err(MigrationError::database("read the schema's version")(error)),
    };
    match rows.as_slice() {
        [] => Ok((None, false)),
        [row] => {
            let version = row.try_get("version");
            let dirty = row.try_get("dirty");
            match (version, dirty) {
                (Ok(version), Ok(dirty)) => Ok((Some(version), dirty)),
                _ => Err(foreign("a column has another type".into())),
            }
        }
        _ => Err(foreign("it holds more than one row".into())),
    }
}

async fn read_history(client: &Client) -> Result<BTreeMap<i64, Recorded>, MigrationError> {
    let doing = "read the history of migrations";
    let rows = client.query(READ_HISTORY, &[]).await.map_err(MigrationError::database(doing))?;
    let entry = |row: &tokio_postgres::Row| {
        let recorded = Recorded {
            name: row.try_get("name")?,
            checksum: row.try_get("checksum")?,
            applied_at: row.try_get("applied_at")?,
        };
        Ok((row.try_get("version")?, recorded))
    };
    let history: Result<_, tokio_postgres::Error> = rows.iter().map(entry).collect();
    history.map_err(MigrationError::database(doing))
}
