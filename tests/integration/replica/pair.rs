use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bailiwick::call::{CallOptions, Calls};
use bailiwick::db::{ReplicaOptions, admin};
use bailiwick::embedded::{EmbeddedServer, Options};
use bailiwick::identity::Scopes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio_postgres::{Client, Config};

use crate::harness::{Session, TestDatabase, server};

/// Of the standby's socket, in the folder of the primary's.
const STANDBY_PORT: u16 = 5433;

/// A PostgreSQL of this test's own, and a streaming standby of it.
pub struct Pair {
    // In this order they go.
    standby: Standby,
    pub database: TestDatabase,
    _primary: EmbeddedServer,
    _folder: tempfile::TempDir,
}

/// The standby's folder, with a server in it or not.
struct Standby {
    folder: PathBuf,
    socket_dir: PathBuf,
    bin_dir: PathBuf,
    owner: (u32, u32),
}

impl Pair {
    /// With the schema and the demo tenants; `arrange` puts in what is to be there from the beginning.
    pub async fn start(arrange: impl AsyncFnOnce(&TestDatabase)) -> Self {
        let folder = tempfile::Builder::new().prefix("bailiwick-pair-").tempdir().unwrap();
        let bin_dir = server().await.bin_dir().to_owned();
        let options = Options { pg_bin: Some(bin_dir.clone()), ..Options::new(folder.path()) };
        let primary = EmbeddedServer::start(options).await.unwrap_or_else(|error| panic!("{error:?}"));
        let database = TestDatabase::migrated_on(&primary).await;
        arrange(&database).await;
        let data_dir = primary.data_dir().to_owned();
        let cluster = std::fs::metadata(data_dir.join("cluster")).unwrap();
        let standby = Standby {
            folder: data_dir.join("standby"),
            socket_dir: primary.socket_dir().to_owned(),
            bin_dir,
            owner: (cluster.uid(), cluster.gid()),
        };
        standby.copy(primary.port());
        standby.run();
        Self { standby, database, _primary: primary, _folder: folder }
    }

    /// How that role connects to the standby.
    pub fn replica(&self, role: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.standby.socket_dir).port(STANDBY_PORT).user(role).dbname(self.database.name());
        config
    }

    /// A superuser on the standby.
    pub async fn connect_replica(&self) -> Client {
        admin::connect(&self.replica("postgres")).await.unwrap()
    }

    /// Usual bounds, with the standby as a replica that may lag by that much.
    pub fn options(&self, max_lag: Duration) -> CallOptions {
        let replica = ReplicaOptions { endpoint: self.replica("bailiwick_app").into(), max_lag };
        CallOptions { replica: Some(replica), ..self.database.call_options() }
    }

    /// A tenant's client of a server with such options.
    pub async fn session(&self, slug: &'static str, options: &CallOptions) -> Session {
        let calls = Calls::open(self.database.app(), options).unwrap();
        Session::over(calls, &self.database.tenant(slug).await, Scopes::all()).await
    }

    /// Waits until the standby has all that is committed by now.
    pub async fn replayed(&self) {
        let place: String = self.database.value("SELECT pg_current_wal_insert_lsn()::text").await;
        let replica = self.connect_replica().await;
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{place}'::pg_lsn");
        for _ in 0..600 {
            if replica.query_one(&sql, &[]).await.unwrap().get(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the standby did not come up with the primary in half a minute");
    }

    /// Stops replaying, or goes on.
    pub async fn pause(&self, pause: bool) {
        let verb = if pause { "pause" } else { "resume" };
        let replica = self.connect_replica().await;
        replica.batch_execute(&format!("SELECT pg_wal_replay_{verb}()")).await.unwrap();
        if pause {
            let state = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
            while !replica.query_one(state, &[]).await.unwrap().get::<_, bool>(0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// kill -9 of the standby's postmaster, and its end.
    pub async fn kill(&self) {
        self.standby.kill();
        // Its children end when they notice; until then a new one cannot start.
        while self.standby.is_anybody_there() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts the standby again.
    pub fn revive(&self) {
        self.standby.run();
    }

    /// Makes a primary of the standby, with a history of its own.
    pub fn promote(&self) {
        self.standby.control(&["promote", "--wait"]);
    }
}

impl Standby {
    /// A program of PostgreSQL's, as the owner of the databases.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(name));
        command.current_dir("/").env("LC_ALL", "C");
        if rustix::process::geteuid().is_root() {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        command
    }

    fn copy(&self, primary_port: u16) {
        std::fs::create_dir(&self.folder).unwrap();
        std::fs::set_permissions(&self.folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&self.folder, Some(self.owner.0), Some(self.owner.1)).unwrap();
        let mut command = self.program("pg_basebackup");
        command.arg("--host").arg(&self.socket_dir).args(["--port", &primary_port.to_string()]);
        command.args(["--username=postgres", "--write-recovery-conf", "--checkpoint=fast", "--pgdata"]);
        succeed(command.arg(&self.folder));
    }

    fn run(&self) {
        // Beside the primary's: the settings that both read would have it take the same port and the same log.
        let options = format!("-c port={STANDBY_PORT} -c logging_collector=off");
        self.control(&["start", "--wait", "--timeout=120", "--options", &options]);
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = self.program("pg_ctl");
        command.args(arguments).arg("--silent").arg("--pgdata").arg(&self.folder);
        if arguments.contains(&"start") {
            command.arg("--log").arg(self.folder.join("standby.log"));
        }
        succeed(&mut command);
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.folder.join("postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    fn kill(&self) {
        if let Some(pid) = self.postmaster().filter(|pid| is_in(*pid, &self.folder)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Whether a process works in its folder.
    fn is_anybody_there(&self) -> bool {
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

/// Where an answer says that it was read.
pub fn read_from(answer: &Value) -> &str {
    answer["read_from"].as_str().expect("an answer tells where it was read")
}

/// The answer without what differs from call to call.
pub fn bare(answer: &Value) -> Value {
    let mut bare = answer.clone();
    for key in ["duration_ms", "read_from", "stale_ms_at_most"] {
        bare.as_object_mut().unwrap().remove(key);
    }
    bare
}
