//! `pg_dump` at work.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdout};

use super::program::{Program, listen};
use super::{BackupError, Connection, Step};
use crate::audit::Hash;

/// How long `pg_dump` waits for a table that somebody is changing the form of.
const LOCK_WAIT: &str = "--lock-wait-timeout=60000";
const PIECE_BYTES: usize = 1 << 17;

/// How a dump is to be made.
pub(super) struct Dump<'a> {
    pub program: &'a Program,
    pub connection: &'a Connection,
    /// As `pg_export_snapshot()` named it.
    pub snapshot: &'a str,
    /// Whom to act as.
    pub role: Option<&'static str>,
    /// As `pg_dump --compress` takes it.
    pub compression: &'a str,
    /// Bytes of each table, by which progress is told.
    pub tables: &'a BTreeMap<String, u64>,
}

impl Dump<'_> {
    /// Into a file, which `pg_dump` goes back in at its end to say where each table begins: so several may restore at once.
    pub async fn to_file(&self, file: File, tell: &(dyn Fn(Step) + Sync)) -> Result<(), BackupError> {
        let mut child = self.spawn(Stdio::from(file))?;
        let stderr = child.stderr.take();
        let failure = self.follow(stderr, tell).await?;
        self.ended(child, failure).await
    }

    /// To this program's stdout; returns how many bytes that were, and their checksum.
    pub async fn to_stdout(&self, tell: &(dyn Fn(Step) + Sync)) -> Result<(u64, Hash), BackupError> {
        let mut child = self.spawn(Stdio::piped())?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sum, failure) = tokio::try_join!(pass_on(stdout), self.follow(stderr, tell))?;
        self.ended(child, failure).await?;
        Ok(sum)
    }

    fn spawn(&self, stdout: Stdio) -> Result<tokio::process::Child, BackupError> {
        let mut command = self.program.command(self.connection);
        command.args(["--format=custom", "--verbose", "--no-password", LOCK_WAIT]);
        command.arg(format!("--snapshot={}", self.snapshot)).arg(format!("--compress={}", self.compression));
        if let Some(role) = self.role {
            command.arg(format!("--role={role}"));
        }
        command.stdout(stdout).spawn().map_err(|error| self.program.failed(error.to_string()))
    }

    /// Tells a table when it is begun, with the bytes of those before.
    async fn follow(&self, stderr: Option<ChildStderr>, tell: &(dyn Fn(Step) + Sync)) -> Result<String, BackupError> {
        let Some(stderr) = stderr else { return Ok(String::new()) };
        let of = self.tables.values().sum();
        let (mut bytes, mut last) = (0, 0);
        let listened = listen(stderr, |line| {
            if let Some(table) =
                line.split_once("dumping contents of table \"public.").and_then(|(_, rest)| rest.split('"').next())
            {
                bytes += last;
                last = self.tables.get(table).copied().unwrap_or(0);
                tell(Step::Dumping { bytes, of, table: table.to_owned() });
            }
        });
        listened.await.map_err(|error| self.program.failed(error.to_string()))
    }

    async fn ended(&self, mut child: tokio::process::Child, failure: String) -> Result<(), BackupError> {
        let status = child.wait().await.map_err(|error| self.program.failed(error.to_string()))?;
        match status.success() {
            true => Ok(()),
            false if failure.is_empty() => Err(self.program.failed(status.to_string())),
            false => Err(self.program.failed(failure)),
        }
    }
}

async fn pass_on(stdout: Option<ChildStdout>) -> Result<(u64, Hash), BackupError> {
    let failed = |error: std::io::Error| BackupError::Refused(format!("stdout takes no more: {error}"));
    let (mut bytes, mut hash, mut piece) = (0, Sha256::new(), vec![0; PIECE_BYTES]);
    let mut out = tokio::io::stdout();
    let Some(mut from) = stdout else { return Ok((0, Hash::of(hash))) };
    loop {
        let read = from.read(&mut piece).await.map_err(failed)?;
        if read == 0 {
            out.flush().await.map_err(failed)?;
            return Ok((bytes, Hash::of(hash)));
        }
        hash.update(&piece[..read]);
        out.write_all(&piece[..read]).await.map_err(failed)?;
        bytes += read as u64;
    }
}
