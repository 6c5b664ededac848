//! A migration file's name: `000001_create_tenants.up.sql`.

use std::fmt;

/// Which way a migration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards a newer schema.
    Up,
    /// Back to the version before.
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// The parts of a file's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    pub(super) version: i64,
    pub(super) name: &'a str,
    pub(super) direction: Direction,
}

/// The name of the file that holds `version` in `direction`.
pub(super) fn file_name(version: i64, name: &str, direction: Direction) -> String {
    format!("{version:06}_{name}.{direction}.sql")
}

/// Parses a name; stricter than golang-migrate, whose rule any accepted name obeys.
pub(super) fn parse(file: &str) -> Option<FileName<'_>> {
    let (stem, direction) = match file.strip_suffix(".up.sql") {
        Some(stem) => (stem, Direction::Up),
        None => (file.strip_suffix(".down.sql")?, Direction::Down),
    };
    let (digits, name) = stem.split_once('_')?;
    let well_formed = digits.len() == 6
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // Six digits always fit; version 0 is refused because "no migration" would look like it.
    let version = digits.parse().ok().filter(|version| *version > 0)?;
    well_formed.then_some(FileName { version, name, direction })
}
