//! A statement of a migration that failed: which file, which line, and what the server said.

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition};

/// What the server said about a migration's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStatement {
    /// The migration's file.
    pub file: String,
    /// The line of the mistake, if the server said where it is.
    pub line: Option<usize>,
    /// How many statements of the file had ended before; none for what fails only at the commit.
    pub completed: Option<usize>,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// The server's message.
    pub message: String,
    /// The server's detail, hint and context, those that it gave.
    pub notes: Vec<String>,
    /// The version that the database is still at.
    pub version: Option<i64>,
}

impl FailedStatement {
    /// `completed` is how many statements of `sql` had ended before this one.
    pub(super) fn new(
        file: String,
        sql: &str,
        completed: Option<usize>,
        version: Option<i64>,
        error: &DbError,
    ) -> Self {
        let position = match error.position() {
            Some(ErrorPosition::Original(position)) => line_of(sql, *position),
            _ => None,
        };
        let note = |label: &str, text: Option<&str>| text.map(|text| format!("{label}: {text}"));
        Self {
            file,
            line: position,
            completed,
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            notes: [note("detail", error.detail()), note("hint", error.hint()), note("context", error.where_())]
                .into_iter()
                .flatten()
                .collect(),
            version,
        }
    }
}

impl FailedStatement {
    /// Whether it did not get a lock in time, or waited for somebody who waited for it: the same may succeed a moment later.
    #[must_use]
    pub fn is_for_want_of_a_lock(&self) -> bool {
        matches!(self.sqlstate.as_str(), "55P03" | "40P01")
    }
}

impl std::error::Error for FailedStatement {}

impl fmt::Display for FailedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        match (self.line, self.completed) {
            (Some(line), _) => write!(f, ", line {line}")?,
            // Failures while a statement runs carry no position.
            (None, Some(completed)) => write!(f, ", statement {}", completed + 1)?,
            (None, None) => f.write_str(", at its commit")?,
        }
        write!(f, ": {} (SQLSTATE {}", self.message, self.sqlstate)?;
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        f.write_str("); the migration was rolled back, the database is still ")?;
        match self.version {
            Some(version) => write!(f, "at version {version}"),
            None => f.write_str("before the first version"),
        }
    }
}

/// The line of a position as PostgreSQL counts: in characters, from 1.
fn line_of(sql: &str, position: u32) -> Option<usize> {
    let before = usize::try_from(position).ok()?.checked_sub(1)?;
    // A position at the very end ("syntax error at end of input") is one past the last character.
    let text = sql.chars().take(before);
    (before <= sql.chars().count()).then(|| text.filter(|c| *c == '\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_and_may_be_one_past_the_end() {
        let sql = "ä\nb\n";
        for (position, line) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
            assert_eq!(line_of(sql, position), Some(line), "{position}");
        }
        assert_eq!(line_of(sql, 0), None);
        assert_eq!(line_of(sql, 6), None);
    }
}
