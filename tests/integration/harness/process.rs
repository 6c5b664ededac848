use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::{PATIENCE, TestDatabase};

/// The real binary, serving over its stdin and stdout.
pub struct Process {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    pub stdout: Lines<BufReader<ChildStdout>>,
    /// What it says to people.
    pub stderr: Option<Lines<BufReader<ChildStderr>>>,
}

impl Process {
    /// `bailiwick` without arguments, as MCP clients start it.
    pub async fn serve(database: &TestDatabase, tenant: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await).env("BAILIWICK_TENANT", tenant);
        Self::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .env("BAILIWICK_USER", "stdio-test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Self { child, stdin, stdout, stderr }
    }

    /// Writes one line as it stands.
    pub async fn line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    pub async fn send(&mut self, message: Value) {
        self.line(&message.to_string()).await;
    }

    /// The next line of stdout, which must be a JSON-RPC message.
    pub async fn receive(&mut self) -> Option<Value> {
        let line =
            tokio::time::timeout(PATIENCE, self.stdout.next_line()).await.expect("an answer in time").unwrap()?;
        let message: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("stdout has a line that is no JSON: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        Some(message)
    }

    /// Goes through the handshake of the 2025-11-25 era.
    pub async fn initialize(&mut self) -> Value {
        let client = json!({ "name": "raw", "version": "0.1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        self.send(json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params })).await;
        let answer = self.receive().await.unwrap();
        self.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer
    }

    /// Closes stdin and waits: exit code, and what stdout and stderr still said.
    pub async fn finish(mut self) -> (Option<i32>, Vec<Value>, String) {
        self.stdin.take();
        let mut messages = Vec::new();
        while let Some(message) = self.receive().await {
            messages.push(message);
        }
        let mut stderr = String::new();
        self.stderr.take().unwrap().into_inner().read_to_string(&mut stderr).await.unwrap();
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the process ends").unwrap();
        (status.code(), messages, stderr)
    }
}
