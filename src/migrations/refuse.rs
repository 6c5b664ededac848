//! When the state of the database forbids to change it, or to serve from it.

use super::error::MigrationError;
use super::files::Migrations;
use super::name::Direction;
use super::state::State;

/// Refuses a dirty version, one that is not ours, and an edited migration, in this order.
pub(super) fn check(state: &State, migrations: &Migrations) -> Result<(), MigrationError> {
    let Some(version) = state.current else {
        return Ok(());
    };
    let newest = migrations.newest();
    if state.dirty {
        return Err(MigrationError::Dirty { version });
    }
    if version > newest {
        return Err(MigrationError::NewerDatabase { version, newest });
    }
    if version < 1 {
        let reason = format!("its version is {version}");
        return Err(MigrationError::ForeignTable { reason });
    }
    for (version, recorded) in &state.history {
        if let Some(migration) = migrations.get(*version)
            && migration.checksum() != recorded.checksum
        {
            return Err(MigrationError::Edited {
                file: migration.file(Direction::Up),
                version: *version,
                applied: recorded.checksum.clone(),
                embedded: migration.checksum().to_owned(),
            });
        }
    }
    Ok(())
}
