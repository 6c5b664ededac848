//! PostgreSQL's own programs: which there are, and what they say.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::{BackupError, Connection};

/// What they may see of our environment: not keys and passwords that are none of theirs.
const PASSED_ON: [&str; 7] =
    ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Lines of a failure that are told.
const MOST_LINES: usize = 12;

/// Where PostgreSQL's programs are.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// This folder, or else `PATH`.
    pub folder: Option<PathBuf>,
}

/// One that is there.
#[derive(Debug, Clone)]
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// Such as 18.
    pub major: i32,
    /// Such as `18.6`.
    pub version: String,
}

impl Programs {
    /// Finds a program and asks for its version.
    pub(super) async fn find(&self, name: &'static str) -> Result<Program, BackupError> {
        let path = self.folder.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let place =
            self.folder.as_ref().map_or_else(|| "on PATH".to_owned(), |folder| format!("in {}", folder.display()));
        let remedy =
            "install PostgreSQL's client programs of the server's major version, or name their folder by --pg-bin";
        let output = bare(&path).arg("--version").stdin(Stdio::null()).output().await;
        let output = output.map_err(|error| {
            BackupError::Refused(format!("there is no {name} {place} that runs ({error}): {remedy}"))
        })?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_once("(PostgreSQL)").and_then(|(_, rest)| rest.split_whitespace().next());
        let major = version.and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        match (version, major) {
            (Some(version), Some(major)) => Ok(Program { name, path, major, version: version.to_owned() }),
            _ => Err(BackupError::Refused(format!(
                "{name} {place} does not tell its version ({}): {remedy}",
                said.trim()
            ))),
        }
    }
}

impl Program {
    /// A command of it on a server, with nothing secret in its arguments. It ends when it is dropped.
    pub fn command(&self, connection: &Connection) -> Command {
        let mut command = bare(&self.path);
        command.envs(connection.environment()).stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// What it prints without a server.
    pub async fn output(&self, arguments: &[&std::ffi::OsStr]) -> Result<String, BackupError> {
        let output = bare(&self.path).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.map_err(|error| self.failed(error.to_string()))?;
        if !output.status.success() {
            return Err(self.failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Its failure.
    pub fn failed(&self, told: String) -> BackupError {
        BackupError::Program { program: self.name, told }
    }
}

fn bare(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("LC_ALL", "C");
    command
}

/// Reads what a program with `--verbose` says of its work; returns what it says of a failure.
pub(super) async fn listen(stderr: impl AsyncRead + Unpin, mut tell: impl FnMut(&str)) -> std::io::Result<String> {
    let mut lines = BufReader::new(stderr).split(b'\n');
    let mut failure: VecDeque<String> = VecDeque::new();
    let mut is_quoting = false;
    while let Some(line) = lines.next_segment().await? {
        let line = String::from_utf8_lossy(&line).into_owned();
        is_quoting = quotes(&line).unwrap_or(is_quoting);
        if is_quoting {
            continue;
        }
        let is_bad = ["error:", "fatal:", "warning:", "detail:", "hint:"].iter().any(|sign| line.contains(sign));
        // What follows an error belongs to it: a statement, or what the server had to say.
        if is_bad || (!failure.is_empty() && !line.starts_with("pg_")) {
            failure.push_back(line.clone());
            if failure.len() > MOST_LINES {
                failure.pop_front();
            }
        }
        tell(&line);
    }
    Ok(Vec::from(failure).join("\n"))
}

/// Whether a line begins what the server quotes of a row, which is a caller's text and may be of several lines, or something else.
fn quotes(line: &str) -> Option<bool> {
    const BEGINS: [&str; 6] = ["pg_", "ERROR:", "FATAL:", "HINT:", "LOCATION:", "Command was:"];
    match line.trim_start() {
        line if ["CONTEXT:", "DETAIL:"].iter().any(|sign| line.starts_with(sign)) => Some(true),
        line if BEGINS.iter().any(|sign| line.starts_with(sign)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_that_the_server_quotes_is_not_told() {
        let said = "pg_restore: error: COPY failed for table \"documents\": ERROR:  no room\nDETAIL:  Failing row contains (secret).\n\
                    CONTEXT:  COPY documents, line 7: \"a secret\nof two lines\"\nHINT:  Make room.\npg_restore: warning: errors ignored\n";
        let mut heard = 0;
        let failure = listen(said.as_bytes(), |_| heard += 1).await.unwrap();
        assert!(!failure.contains("secret") && !failure.contains("two lines"), "{failure}");
        assert!(
            failure.contains("no room") && failure.contains("Make room") && failure.lines().count() == 3,
            "{failure}"
        );
    }

    #[tokio::test]
    async fn of_many_lines_only_those_of_the_failure_are_kept() {
        let said = "pg_dump: dumping contents of table \"public.a\"\npg_dump: error: query failed\nERROR:  no\npg_dump: detail: Query was: x\n";
        let mut heard = 0;
        let failure = listen(said.as_bytes(), |_| heard += 1).await.unwrap();
        assert_eq!((heard, failure.lines().count()), (4, 3), "{failure}");
    }
}
