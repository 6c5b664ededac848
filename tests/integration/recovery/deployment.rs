use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use bailiwick::embedded::EmbeddedServer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::harness::{Process, server};

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program on a PostgreSQL of its own, in a data folder of a test's own.
pub struct Deployment {
    folder: PathBuf,
    bin: PathBuf,
}

impl Deployment {
    /// In that folder; nothing is started yet.
    pub async fn of(folder: PathBuf) -> Self {
        Self { folder, bin: server().await.bin_dir().to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn cluster(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    /// The program with a command.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(arguments).env("BAILIWICK_DATA_DIR", &self.folder).env("BAILIWICK_PG_BIN", &self.bin);
        command.env("BAILIWICK_NO_EMBEDDINGS", "true").env("NO_COLOR", "1");
        command
    }

    /// What a command says with `--json`, and its exit code.
    pub fn told(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.command(arguments).arg("--json").output().unwrap();
        let value = serde_json::from_slice(&output.stdout);
        (output.status.code(), value.unwrap_or_else(|_| panic!("{arguments:?}: {}", text(&output))))
    }

    /// What doctor finds, but for its server's age.
    pub fn findings(&self, arguments: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
        let (code, told) = self.told(&[&["doctor"], arguments].concat());
        let findings = told["findings"].as_array().unwrap().iter();
        let findings = findings.map(|one| (one["check"].as_str().unwrap(), one["detail"].as_str().unwrap()));
        let findings = findings.filter(|(check, _)| *check != "server_version");
        (code, findings.map(|(check, detail)| (check.to_owned(), detail.to_owned())).collect())
    }

    /// One of PostgreSQL's own programs, as the user that the cluster belongs to.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let owner = std::fs::metadata(self.cluster()).unwrap();
        let mut command = Command::new(self.bin.join(name));
        command.args(arguments).current_dir("/");
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command.output().unwrap()
    }

    /// The server, once a command has started it.
    pub async fn server(&self) -> EmbeddedServer {
        let mut options = bailiwick::embedded::Options::new(&self.folder);
        options.pg_bin = Some(self.bin.clone());
        options.keeper = Some(env!("CARGO_BIN_EXE_bailiwick").into());
        EmbeddedServer::start(options).await.unwrap_or_else(|error| panic!("{}", bailiwick::embedded::explain(&error)))
    }

    /// Its superuser.
    pub async fn connect(&self, server: &EmbeddedServer) -> Client {
        let (client, connection) = server.config("postgres", "bailiwick").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Stops PostgreSQL in order, for the next command to start it again.
    pub async fn stop(&self) {
        let pidfile = self.cluster().join("postmaster.pid");
        let Ok(text) = std::fs::read_to_string(&pidfile) else { return };
        let pid = Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        eventually("PostgreSQL stops", async || !pidfile.exists()).await;
    }

    /// A server on stdio, ready for calls.
    pub async fn serve(&self) -> Process {
        let command = tokio::process::Command::from(self.command(&[]));
        let mut process = Process::spawn(command);
        process.initialize().await;
        process
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.cluster().join("postmaster.pid"));
        let pid = pid.ok().and_then(|text| Pid::from_raw(text.lines().next()?.parse().ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

/// A folder that whoever PostgreSQL runs as can pass through.
pub fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

/// Gives a tree to the user that another folder belongs to, as `chown -R` does.
pub fn give(tree: &Path, like: &Path) {
    let owner = std::fs::metadata(like).unwrap();
    let owner = format!("{}:{}", owner.uid(), owner.gid());
    let status = Command::new("chown").args(["-R", &owner]).arg(tree).status().unwrap();
    assert!(status.success());
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Stores a document by a call.
pub async fn insert(server: &mut Process, title: &str) {
    let arguments = json!({ "title": title, "content": format!("{title}: the coffee machine is descaled.") });
    let call = json!({ "name": "insert_document", "arguments": arguments });
    server.send(json!({ "jsonrpc": "2.0", "id": title, "method": "tools/call", "params": call })).await;
    let answer = server.receive().await.unwrap();
    assert_eq!((&answer["id"], &answer["result"]["isError"]), (&json!(title), &json!(false)), "{answer}");
}

/// Titles that a search of the shell finds.
pub fn titles(deployment: &Deployment) -> Vec<String> {
    let (code, told) = deployment.told(&["search", "coffee machine"]);
    assert_eq!(code, Some(0), "{told}");
    let mut titles: Vec<_> =
        told["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned()).collect();
    titles.sort();
    titles
}
