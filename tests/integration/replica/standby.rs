use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick::db::admin;
use bailiwick::embedded::EmbeddedServer;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, Config};

/// A copy of a primary's folder, with a server in it or not.
pub struct Standby {
    folder: PathBuf,
    socket_dir: PathBuf,
    port: u16,
    bin_dir: PathBuf,
    owner: (u32, u32),
}

impl Standby {
    /// A copy of that primary, which is to follow it.
    pub fn of(primary: &EmbeddedServer, name: &str, port: u16) -> Self {
        let data_dir = primary.data_dir();
        let cluster = std::fs::metadata(data_dir.join("cluster")).unwrap();
        let standby = Self {
            folder: data_dir.join(name),
            socket_dir: primary.socket_dir().to_owned(),
            port,
            bin_dir: primary.bin_dir().to_owned(),
            owner: (cluster.uid(), cluster.gid()),
        };
        standby.copy(primary.port());
        standby
    }

    /// How that role connects.
    pub fn config(&self, role: &str, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(role).dbname(database);
        config
    }

    /// A superuser.
    pub async fn connect(&self, database: &str) -> Client {
        admin::connect(&self.config("postgres", database)).await.unwrap()
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Its place in a URL.
    pub fn host(&self) -> String {
        format!("{}:{}", self.socket_dir.display().to_string().replace('/', "%2F"), self.port)
    }

    fn copy(&self, primary_port: u16) {
        std::fs::create_dir(&self.folder).unwrap();
        std::fs::set_permissions(&self.folder, PermissionsExt::from_mode(0o700)).unwrap();
        chown(&self.folder, Some(self.owner.0), Some(self.owner.1)).unwrap();
        let mut command = self.program("pg_basebackup");
        command.arg("--host").arg(&self.socket_dir).args(["--port", &primary_port.to_string()]);
        command.args(["--username=postgres", "--write-recovery-conf", "--checkpoint=fast", "--pgdata"]);
        succeed(command.arg(&self.folder));
    }

    /// Starts it, to follow the primary if it was no primary itself.
    pub fn run(&self) {
        self.start("");
    }

    /// Starts it as a standby of nobody: it replays what it has.
    pub fn run_alone(&self) {
        self.signal(true);
        self.start(" -c primary_conninfo=''");
    }

    /// Starts it as a primary that never followed.
    pub fn run_as_primary(&self) {
        self.signal(false);
        self.start("");
    }

    fn signal(&self, is_standby: bool) {
        let path = self.folder.join("standby.signal");
        if is_standby {
            std::fs::write(&path, "").unwrap();
            chown(&path, Some(self.owner.0), Some(self.owner.1)).unwrap();
        } else if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
    }

    fn start(&self, settings: &str) {
        // Beside the primary's: the settings that both read would have it take the same port and the same log.
        let options = format!("-c port={} -c logging_collector=off{settings}", self.port);
        self.control(&["start", "--wait", "--timeout=120", "--options", &options]);
    }

    /// Ends it in order.
    pub fn stop(&self) {
        self.control(&["stop", "--wait", "--mode=fast"]);
    }

    /// Makes a primary of it, with a history of its own.
    pub fn promote(&self) {
        self.control(&["promote", "--wait"]);
    }

    /// Makes a stranger of it while it does not run: of another cluster, whose log is far ahead.
    pub fn disguise(&self) {
        let path = self.folder.join("global/pg_control");
        let mut bytes = std::fs::read(&path).unwrap();
        // It begins with the cluster's number.
        bytes[0] ^= 0xff;
        std::fs::write(&path, bytes).unwrap();
        let mut command = self.program("pg_resetwal");
        command.args(["--force", "--next-wal-file=000000010000000100000000", "--pgdata"]);
        succeed(command.arg(&self.folder));
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = self.program("pg_ctl");
        command.args(arguments).arg("--silent").arg("--pgdata").arg(&self.folder);
        if arguments.contains(&"start") {
            command.arg("--log").arg(self.folder.join("standby.log"));
        }
        succeed(&mut command);
    }

    /// A program of PostgreSQL's, as the owner of the databases.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(name));
        command.current_dir("/").env("LC_ALL", "C");
        if rustix::process::geteuid().is_root() {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        command
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.folder.join("postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// kill -9 of its postmaster.
    pub fn kill(&self) {
        if let Some(pid) = self.postmaster().filter(|pid| is_in(*pid, &self.folder)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Whether a process works in its folder.
    pub fn is_anybody_there(&self) -> bool {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
        pids.any(|pid| is_in(pid, &self.folder))
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A zombie is in no folder.
fn is_in(pid: Pid, folder: &Path) -> bool {
    std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == folder)
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
