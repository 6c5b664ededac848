//! The migration files as a validated list.

mod validate;

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::name::{Direction, file_name};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/sql/migrations");

/// One version of the schema: how to get to it, and back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    version: i64,
    name: String,
    up: String,
    down: String,
    checksum: String,
}

impl Migration {
    fn new(version: i64, name: String, up: String, down: String) -> Self {
        let digest = Sha256::digest(up.as_bytes());
        let checksum = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { version, name, up, down, checksum }
    }

    /// Its number, from 1.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Its name without number and ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SQL of one direction.
    pub fn sql(&self, direction: Direction) -> &str {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    /// The sha256 of the up file, in hex.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// The name of the file of one direction.
    pub fn file(&self, direction: Direction) -> String {
        file_name(self.version, &self.name, direction)
    }
}

/// All migrations, in order: the version of the one at index `i` is `i + 1`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    list: Vec<Migration>,
}

impl Migrations {
    /// Those in this binary.
    ///
    /// # Errors
    /// When the files are no valid list of migrations.
    pub fn embedded() -> Result<Self, InvalidFiles> {
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for entry in EMBEDDED.entries() {
            let file = entry.path().display().to_string();
            match entry.as_file().map(|found| found.contents_utf8()) {
                Some(Some(text)) => files.push((file, text.to_owned())),
                Some(None) => problems.push(FileProblem::new(file, "is not UTF-8")),
                None => problems.push(FileProblem::new(file, "is a folder, which nothing would run")),
            }
        }
        validate::list(files, problems)
    }

    /// Those of some files, given as name and text.
    ///
    /// # Errors
    /// When the files are no valid list of migrations.
    pub fn from_files<N, T>(files: impl IntoIterator<Item = (N, T)>) -> Result<Self, InvalidFiles>
    where
        N: Into<String>,
        T: Into<String>,
    {
        let files = files.into_iter().map(|(name, text)| (name.into(), text.into()));
        validate::list(files, Vec::new())
    }

    /// Every migration, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Migration> {
        self.list.iter()
    }

    /// The migration that leads to `version`.
    pub fn get(&self, version: i64) -> Option<&Migration> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.list.get(index)
    }

    /// The highest version.
    pub fn newest(&self) -> i64 {
        self.list.last().map_or(0, Migration::version)
    }

    /// Those above `current`, the oldest first.
    pub(super) fn after(&self, current: Option<i64>) -> impl Iterator<Item = &Migration> {
        let current = current.unwrap_or(0);
        self.list.iter().filter(move |migration| migration.version > current)
    }
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// The file's name.
    pub file: String,
    /// The rest of the sentence that begins with the file's name.
    pub reason: String,
}

impl FileProblem {
    fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), reason: reason.into() }
    }
}

/// The migration files do not form a list; all problems together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the migration files are invalid: {}", sentences(.problems))]
pub struct InvalidFiles {
    /// One for each thing to repair; never empty.
    pub problems: Vec<FileProblem>,
}

fn sentences(problems: &[FileProblem]) -> String {
    let sentence = |problem: &FileProblem| format!("{} {}", problem.file, problem.reason);
    problems.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
