//! Just enough of SQL's lexical rules to find where each statement of a migration starts.
//!
//! It serves two ends: a failing statement can be named by its line, and a statement that would end
//! the transaction (or read from the client) is refused before anything runs.

mod cursor;

use cursor::{Cursor, Token};

/// One statement of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// The line of its first word, from 1.
    pub(super) line: usize,
    /// Its words outside of quotes and comments, in lower case.
    words: Vec<String>,
}

/// A script that cannot be a migration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct ScriptError {
    line: usize,
    reason: String,
}

/// Splits a script into its statements.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, ScriptError> {
    let mut cursor = Cursor::new(text);
    let mut found = Vec::new();
    let mut open: Option<Statement> = None;
    // A rule's actions in parentheses and a function's BEGIN ATOMIC body hold semicolons of their own.
    let (mut parentheses, mut blocks) = (0_usize, 0_usize);
    while let Some((line, token)) = cursor.next()? {
        if token == Token::Semicolon {
            if parentheses == 0 && blocks == 0 {
                found.extend(open.take());
            }
            continue;
        }
        let statement = open.get_or_insert_with(|| Statement { line, words: Vec::new() });
        match token {
            Token::Open => parentheses += 1,
            Token::Close => parentheses = parentheses.saturating_sub(1),
            Token::Word(word) => {
                let word = word.to_ascii_lowercase();
                match word.as_str() {
                    "begin" if statement.creates_routine() => blocks += 1,
                    "case" if blocks > 0 => blocks += 1,
                    "end" => blocks = blocks.saturating_sub(1),
                    _ => {}
                }
                statement.words.push(word);
            }
            Token::Semicolon | Token::Other => {}
        }
    }
    match open {
        // Files are concatenated into init.sql, where a missing semicolon would join two statements.
        Some(last) => {
            Err(ScriptError { line: last.line, reason: "the last statement does not end with a semicolon".into() })
        }
        None => Ok(found),
    }
}

/// Refuses a script that could not run as a part of one transaction that is not its own.
pub(super) fn check(text: &str) -> Result<(), ScriptError> {
    for statement in statements(text)? {
        if let Some(reason) = statement.objection() {
            let line = statement.line;
            return Err(ScriptError { line, reason });
        }
    }
    Ok(())
}

impl Statement {
    fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    fn creates_routine(&self) -> bool {
        let kind = if self.word(1) == "or" { 3 } else { 1 };
        self.word(0) == "create" && matches!(self.word(kind), "function" | "procedure")
    }

    fn objection(&self) -> Option<String> {
        let first = self.word(0);
        let controls_transaction = match first {
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => true,
            "prepare" => self.word(1) == "transaction",
            _ => false,
        };
        if controls_transaction {
            let statement = first.to_ascii_uppercase();
            return Some(format!("{statement} is not allowed: each migration already runs in one transaction"));
        }
        let streams = |word: &String| word == "stdin" || word == "stdout";
        (first == "copy" && self.words.iter().any(streams))
            .then(|| "COPY from or to the client is not possible in a migration".into())
    }
}

#[cfg(test)]
mod tests;
