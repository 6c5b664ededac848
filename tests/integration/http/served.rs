use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::RequestBuilder;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::harness::{PATIENCE, TestDatabase};

/// `bailiwick serve --http` on a free port.
pub struct Served {
    pub child: Child,
    /// Of `/mcp`.
    pub url: String,
    /// Of `/metrics`, on the listener of its own.
    pub figures: String,
    /// What it said on stderr so far.
    lines: Arc<Mutex<Vec<String>>>,
    /// Ends with the last of it.
    hearing: JoinHandle<()>,
}

impl Served {
    pub async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, |_| ()).await
    }

    /// With more arguments and variables.
    pub async fn start_with(database: &TestDatabase, arrange: impl FnOnce(&mut Command)) -> Self {
        Self::start_at(database, "127.0.0.1:0", arrange).await
    }

    /// At another address.
    pub async fn start_at(database: &TestDatabase, address: &str, arrange: impl FnOnce(&mut Command)) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        Self::run(command, database, address, arrange).await
    }

    /// By another program that runs it: its words come before the binary's.
    pub async fn start_by(database: &TestDatabase, words: &[&str], arrange: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(env!("CARGO_BIN_EXE_bailiwick"));
        Self::run(command, database, "127.0.0.1:0", arrange).await
    }

    async fn run(
        mut command: Command,
        database: &TestDatabase,
        address: &str,
        arrange: impl FnOnce(&mut Command),
    ) -> Self {
        command.args(["serve", "--http", address, "--metrics-listen", "127.0.0.1:0"]);
        command.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
        arrange(&mut command);
        Self::of(&mut command).await
    }

    /// That command, which serves over HTTP and has a listener for figures.
    pub async fn of(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let mut figures = String::new();
        let url = loop {
            let line = tokio::time::timeout(PATIENCE, stderr.next_line()).await.unwrap().unwrap();
            let Some(line) = line else { panic!("it does not say where it serves: {lines:?}") };
            lines.lock().unwrap().push(line.clone());
            if let Some((_, rest)) = line.split_once("Figures for Prometheus at ") {
                figures = rest.split(['"', ' ']).next().unwrap().trim_end_matches('.').to_owned();
            }
            if let Some((_, rest)) = line.split_once("Serving MCP at ") {
                break rest.split(' ').next().unwrap().to_owned();
            }
        };
        let told = Arc::clone(&lines);
        let hearing = tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                told.lock().unwrap().push(line);
            }
        });
        Self { child, url, figures, lines, hearing }
    }

    /// Another route.
    pub fn at(&self, path: &str) -> String {
        self.url.replace("/mcp", path)
    }

    /// A POST to `/mcp` as clients send it.
    pub fn post(&self, client: &reqwest::Client, key: &str) -> RequestBuilder {
        let post = client.post(&self.url).bearer_auth(key).header("accept", "application/json, text/event-stream");
        post.header("mcp-protocol-version", "2025-11-25")
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Ends it in order: its exit code, and all it said.
    pub async fn finish(self) -> (Option<i32>, Vec<String>) {
        self.ask_to_end();
        self.ended().await
    }

    /// Waits for its end: whoever asked for it does not ask again, for a second signal ends it at once.
    pub async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = tokio::time::timeout(Duration::from_secs(35), self.child.wait()).await.unwrap().unwrap();
        (&mut self.hearing).await.unwrap();
        (status.code(), self.lines())
    }

    /// SIGTERM.
    pub fn ask_to_end(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    }
}
