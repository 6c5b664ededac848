use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bailiwick::db::admin;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, Config};

use crate::harness::server;

/// A PostgreSQL cluster of a test's own, with a socket and a TCP port.
pub struct Cluster {
    folder: tempfile::TempDir,
    bin_dir: PathBuf,
    port: u16,
    owner: Owner,
}

/// Whom PostgreSQL runs as: root it refuses.
#[derive(Clone, Copy)]
pub struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// The owner of the tests' PostgreSQL.
    pub async fn of_tests() -> Self {
        let folder = std::fs::metadata(server().await.socket_dir()).unwrap();
        Self { uid: folder.uid(), gid: folder.gid() }
    }

    /// A program as this user.
    pub fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("LC_ALL", "C");
        if rustix::process::geteuid().is_root() {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes a file or folder this user's, and nobody else's to read.
    pub fn give(self, path: &Path) {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        chown(path, Some(self.uid), Some(self.gid)).unwrap();
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Cluster {
    /// A new one, not running, of the PostgreSQL in that folder; `settings` are lines of its configuration.
    pub async fn create(bin_dir: &Path, settings: &str) -> Self {
        let cluster = Self::place(bin_dir).await;
        let mut command = cluster.program("initdb");
        command.arg("--pgdata").arg(cluster.data());
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        succeed(&mut command);
        let usual = "fsync = off\nmax_connections = 60\nshared_buffers = '32MB'\njit = off\nwal_level = replica\n";
        let conf = cluster.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&conf).unwrap();
        std::fs::write(&conf, format!("{text}\n{usual}{settings}")).unwrap();
        cluster
    }

    /// A standby of a running one, not running itself.
    pub async fn standby_of(primary: &Self) -> Self {
        let cluster = Self::place(&primary.bin_dir).await;
        let mut command = cluster.program("pg_basebackup");
        command.arg("--host").arg(primary.socket_dir()).args(["--port", &primary.port.to_string()]);
        command.args(["--username=postgres", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--pgdata"]);
        succeed(command.arg(cluster.data()));
        cluster
    }

    async fn place(bin_dir: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("bailiwick-cluster-").tempdir().unwrap();
        let owner = Owner::of_tests().await;
        let cluster = Self { folder, bin_dir: bin_dir.to_owned(), port: free_port(), owner };
        cluster.owner.give(cluster.folder.path());
        for folder in [cluster.data(), cluster.socket_dir()] {
            std::fs::create_dir(&folder).unwrap();
            cluster.owner.give(&folder);
        }
        cluster
    }

    pub fn start(&self) {
        self.start_with(|_| ());
    }

    /// The same with what `arrange` does to the program that starts it, such as setting variables.
    pub fn start_with(&self, arrange: impl FnOnce(&mut Command)) {
        let sockets = self.socket_dir();
        let options = format!(
            "-c port={} -c listen_addresses=127.0.0.1 -c unix_socket_directories={}",
            self.port,
            sockets.display()
        );
        let mut command = self.program("pg_ctl");
        command.args(["start", "--wait", "--silent", "--timeout=120", "--options", &options, "--pgdata"]);
        command.arg(self.data()).arg("--log").arg(self.folder.path().join("log"));
        arrange(&mut command);
        succeed(&mut command);
    }

    /// kill -9 of the postmaster, whose children then go.
    pub fn kill(&self) {
        if let Some(pid) = self.postmaster() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Makes a primary of a standby.
    pub fn promote(&self) {
        let mut command = self.program("pg_ctl");
        succeed(command.args(["promote", "--wait", "--silent", "--pgdata"]).arg(self.data()));
    }

    /// Puts a file of that text beside the databases, for the server alone; its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        self.owner.give(&path);
        path
    }

    /// Replaces who may connect, and how.
    pub fn allow(&self, rules: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), format!("local all all trust\n{rules}")).unwrap();
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn socket_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// The socket's folder as a URL's host.
    pub fn host(&self) -> String {
        format!("{}:{}", self.socket_dir().display().to_string().replace('/', "%2F"), self.port)
    }

    /// How that role connects through the socket.
    pub fn config(&self, role: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket_dir()).port(self.port).user(role).dbname(database);
        config
    }

    /// A superuser.
    pub async fn connect(&self, database: &str) -> Client {
        admin::connect(&self.config("postgres", database)).await.unwrap()
    }

    /// Runs statements in psql, as that role.
    pub fn psql(&self, role: &str, database: &str, sql: &str) -> Output {
        let mut command = self.program("psql");
        command.arg("--host").arg(self.socket_dir()).args(["--port", &self.port.to_string(), "--username", role]);
        command.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "--file"]);
        let file = self.file("statements.sql", sql);
        command.arg(file).arg(database).output().unwrap()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        self.owner.command(self.bin_dir.join(name))
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = Pid::from_raw(text.lines().next()?.parse().ok()?)?;
        // The number of one that was killed may be a stranger's by now.
        let cwd = std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).ok()?;
        (cwd == self.data()).then_some(pid)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
    }
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
