//! The state of a database beside the files of this binary.

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Client;

use super::error::MigrationError;
use super::files::{Migration, Migrations};
use super::state::{self, Found, State};

/// Which migrations are applied, and which not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The version that the schema is at; none before the first migration.
    pub current: Option<i64>,
    /// golang-migrate failed on the way to `current`.
    pub dirty: bool,
    /// The migrations of this binary, in order.
    pub entries: Vec<Entry>,
    /// Versions of the database that this binary does not have: a newer one applied them.
    pub unknown: Vec<UnknownMigration>,
}

/// One migration of this binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether it is applied.
    pub state: EntryState,
}

/// Whether a migration is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EntryState {
    /// It is part of the schema.
    Applied {
        /// When; none if golang-migrate applied it.
        applied_at: Option<Timestamp>,
        /// Whether it was this text.
        checksum: Checksum,
    },
    /// It is not.
    Pending,
}

/// How the text that was applied compares with this binary's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// It is the same.
    Matches,
    /// It was edited since.
    Differs,
    /// Not recorded: golang-migrate applied it.
    Unknown,
}

/// A version that this binary does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnknownMigration {
    /// Its number.
    pub version: i64,
    /// Its name, if recorded.
    pub name: Option<String>,
    /// When it was applied, if recorded.
    pub applied_at: Option<Timestamp>,
}

impl Status {
    /// How many migrations of this binary are not applied.
    pub fn pending(&self) -> usize {
        let pending = |entry: &&Entry| entry.state == EntryState::Pending;
        self.entries.iter().filter(pending).count()
    }
}

/// Reads the status; changes nothing and refuses nothing that it can describe.
///
/// # Errors
/// When the database cannot be read, or its version table is not golang-migrate's.
pub async fn status(client: &Client, migrations: &Migrations) -> Result<Status, MigrationError> {
    let state = match state::read(client).await? {
        Found::Missing => State::default(),
        Found::Unreadable => return Err(MigrationError::Unreadable),
        Found::Readable(state) => state,
    };
    Ok(Status {
        current: state.current,
        dirty: state.dirty,
        entries: migrations.iter().map(|migration| entry(migration, &state)).collect(),
        unknown: unknown(&state, migrations.newest()),
    })
}

fn entry(migration: &Migration, state: &State) -> Entry {
    let recorded = state.history.get(&migration.version());
    // A dirty version is being moved to: it cannot be said to be applied.
    let applied = state
        .current
        .is_some_and(|current| migration.version() < current || (migration.version() == current && !state.dirty));
    let checksum = match recorded {
        None => Checksum::Unknown,
        Some(recorded) if recorded.checksum == migration.checksum() => Checksum::Matches,
        Some(_) => Checksum::Differs,
    };
    let applied_at = recorded.map(|recorded| recorded.applied_at);
    Entry {
        version: migration.version(),
        name: migration.name().to_owned(),
        state: if applied { EntryState::Applied { applied_at, checksum } } else { EntryState::Pending },
    }
}

/// Without a history only the version itself is known, not those between.
fn unknown(state: &State, newest: i64) -> Vec<UnknownMigration> {
    let mut versions: Vec<i64> = state.history.keys().copied().collect();
    versions.extend(state.current);
    versions.retain(|version| *version > newest);
    versions.sort_unstable();
    versions.dedup();
    let describe = |version| {
        let recorded = state.history.get(&version);
        UnknownMigration {
            version,
            name: recorded.map(|recorded| recorded.name.clone()),
            applied_at: recorded.map(|recorded| recorded.applied_at),
        }
    };
    versions.into_iter().map(describe).collect()
}
