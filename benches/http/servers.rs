//! Servers as processes of their own, so that each has its own memory.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::Answers;
use crate::world::Result;
use crate::world::client::MODEL;
use crate::world::database::{Database, url};

pub struct Server {
    child: Child,
    url: String,
    events: Events,
}

/// How a server answers with events.
enum Events {
    /// Where the client prefers them.
    AsPreferred,
    /// Under another path.
    At(String),
    /// Not here.
    Never,
}

impl Server {
    /// Starts it and waits for the line of stderr that tells its address.
    async fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
        let mut told = String::new();
        let url = loop {
            let Some(line) = lines.next_line().await? else { return Err(format!("it does not start: {told}").into()) };
            if let Some((_, rest)) = line.split_once("http://") {
                break format!("http://{}", rest.split(' ').next().unwrap_or_default());
            }
            told.push_str(&line);
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, url, events: Events::AsPreferred })
    }

    /// Where it answers so, if it does.
    pub fn url(&self, answers: Answers) -> Option<&str> {
        match (answers, &self.events) {
            (Answers::Json, _) | (Answers::Events, Events::AsPreferred) => Some(&self.url),
            (Answers::Events, Events::At(url)) => Some(url),
            (Answers::Events, Events::Never) => None,
        }
    }

    /// What of its memory is resident.
    pub fn memory_mib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().ok_or("the server is gone")?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? >> 10)
    }
}

/// `bailiwick serve`, without a rate.
pub async fn bailiwick(database: &Database) -> Result<Server> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["serve", "--http", "127.0.0.1:0", "--requests-per-minute", "0", "--log", "error"]);
    // Vectors are the callers' own, of the documents' model.
    command.args(["--no-embeddings", "--embeddings-model", MODEL]);
    command.env("BAILIWICK_DATABASE_URL", url(&database.app)?);
    Server::start(command).await
}

/// This program's echo.
pub async fn echo() -> Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--echo");
    let mut server = Server::start(command).await?;
    server.events = Events::At(server.url.replace("/mcp", "/events/mcp"));
    Ok(server)
}

/// A server that answers as JSON only.
pub async fn json_only(command: Command) -> Result<Server> {
    let mut server = Server::start(command).await?;
    server.events = Events::Never;
    Ok(server)
}
