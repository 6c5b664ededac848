//! The server's question at its start: is the schema the one that this binary was written for?

use tokio_postgres::Client;

use super::error::MigrationError;
use super::files::Migrations;
use super::name::Direction;
use super::refuse;
use super::state::{self, Found};

/// How the schema stands to this binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// There is no schema, or none that this role may look at: it was never migrated for this role.
    NotInitialised,
    /// Migrations are missing.
    Behind {
        /// The version that the schema is at.
        current: Option<i64>,
        /// The up files that are not applied, in order.
        missing: Vec<String>,
    },
    /// The schema is the newest of this binary.
    UpToDate {
        /// Its version.
        version: i64,
    },
}

/// Compares the schema with this binary. Any role may ask; SELECT on the two tables is enough.
///
/// # Errors
/// For what no waiting heals: a dirty version, a newer database, an edited migration; and when the
/// database cannot be read.
pub async fn pending(client: &Client, migrations: &Migrations) -> Result<Pending, MigrationError> {
    let state = match state::read(client).await? {
        Found::Missing | Found::Unreadable => return Ok(Pending::NotInitialised),
        Found::Readable(state) => state,
    };
    refuse::check(&state, migrations)?;
    match state.current {
        Some(version) if version == migrations.newest() => Ok(Pending::UpToDate { version }),
        current => Ok(Pending::Behind {
            current,
            missing: migrations.after(current).map(|migration| migration.file(Direction::Up)).collect(),
        }),
    }
}
