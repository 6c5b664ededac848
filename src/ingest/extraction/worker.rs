use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Done, Extracted, Place, Task};
use crate::ingest::format::Format;

/// More than a document can hold, escaped.
const LONGEST_ANSWER_BYTES: u64 = 64 << 20;

/// What to take a text out of.
#[derive(Debug, Clone, Copy)]
pub(in crate::ingest) enum Input<'a> {
    /// A file, which the process reads itself.
    File(&'a Path),
    /// What came by a stream.
    Bytes(&'a [u8]),
}

/// A process that takes texts out of files, started when it is needed and again after a file that ended it.
pub(in crate::ingest) struct Worker {
    process: Option<Process>,
    /// For one file.
    longest: Duration,
}

struct Process {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    /// One that gives a file up after so long.
    pub(in crate::ingest) fn new(longest: Duration) -> Self {
        Self { process: None, longest }
    }

    /// The text of a file or stream.
    ///
    /// # Errors
    /// In words for a person; the file is to blame, or the process cannot be started.
    pub(in crate::ingest) async fn extract(&mut self, input: Input<'_>, format: Format) -> Result<Extracted, String> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start()
                .map_err(|error| format!("the process that reads such files cannot be started: {error}"))?,
        };
        let done = match tokio::time::timeout(self.longest, process.ask(input, format)).await {
            // Dropped, it is killed.
            Err(_elapsed) => return Err(format!("took longer than {} s to read", self.longest.as_secs())),
            Ok(Err(_broken)) => {
                return Err("cannot be read: it brought its reader down, or took too much memory".to_owned());
            }
            Ok(Ok(done)) => done,
        };
        self.process = Some(process);
        match done {
            Done::Extracted(extracted) => Ok(extracted),
            Done::Failed(why) => Err(why),
        }
    }
}

impl Process {
    fn start() -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("extraction")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What its libraries say of a file helps nobody.
            .stderr(Stdio::null())
            // It needs no secret, so it gets none.
            .env_clear()
            .kill_on_drop(true)
            .spawn()?;
        let broken = || std::io::Error::other("no pipe");
        let (stdin, stdout) = (child.stdin.take().ok_or_else(broken)?, child.stdout.take().ok_or_else(broken)?);
        Ok(Self { _child: child, stdin, stdout: BufReader::new(stdout) })
    }

    async fn ask(&mut self, input: Input<'_>, format: Format) -> std::io::Result<Done> {
        let (place, behind) = match input {
            Input::File(path) => (Place::File(path.to_owned()), &[][..]),
            Input::Bytes(bytes) => (Place::Behind(bytes.len() as u64), bytes),
        };
        let mut line = serde_json::to_vec(&Task { place, format })?;
        line.push(b'\n');
        self.stdin.write_all(&line).await?;
        self.stdin.write_all(behind).await?;
        self.stdin.flush().await?;
        let mut answer = Vec::new();
        (&mut self.stdout).take(LONGEST_ANSWER_BYTES).read_until(b'\n', &mut answer).await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}
