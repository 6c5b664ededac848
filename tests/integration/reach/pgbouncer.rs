use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::cluster::{Owner, free_port};
use crate::harness::{Lacking, server, skip};

/// PgBouncer before the tests' PostgreSQL, as Debian packages it.
pub struct Pgbouncer {
    folder: tempfile::TempDir,
    program: PathBuf,
    owner: Owner,
    port: u16,
    child: Option<Child>,
}

/// To whom it lends a connection, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// To a client for as long as that stays.
    Session,
    /// To each transaction, of so many in all.
    Transaction(u32),
}

impl Pgbouncer {
    /// Starts it; `None` (and a skip) where there is none. `files` are put beside its configuration, to which `settings` are
    /// added: `{folder}` in them is where the files are.
    pub async fn start(pooling: Pooling, settings: &str, files: &[(&str, &str)]) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
        let Some(program) = folders.map(|folder| folder.join("pgbouncer")).find(|path| path.is_file()) else {
            skip(Lacking::Pgbouncer, "there is no pgbouncer on this machine");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("bailiwick-pgbouncer-").tempdir().unwrap();
        let (owner, port, server) = (Owner::of_tests().await, free_port(), server().await);
        let (mode, size) = match pooling {
            Pooling::Session => ("session", 30),
            Pooling::Transaction(size) => ("transaction", size),
        };
        let place = folder.path().display().to_string();
        let users = ["postgres", "bailiwick_app", "bailiwick_maintenance", "bailiwick_owner"];
        let users: String = users.iter().map(|user| format!("\"{user}\" \"\"\n")).collect();
        let configuration = format!(
            "[databases]\n* = host={socket} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {place}/users.txt\npool_mode = {mode}\ndefault_pool_size = {size}\n\
             max_client_conn = 400\nquery_wait_timeout = 20\nlogfile = {place}/log\n{settings}\n",
            socket = server.socket_dir().display(),
            server_port = server.port(),
            settings = settings.replace("{folder}", &place),
        );
        for (name, text) in
            files.iter().copied().chain([("users.txt", users.as_str()), ("pgbouncer.ini", &configuration)])
        {
            std::fs::write(folder.path().join(name), text).unwrap();
            owner.give(&folder.path().join(name));
        }
        owner.give(folder.path());
        let mut pgbouncer = Self { folder, program, owner, port, child: None };
        pgbouncer.run();
        Some(pgbouncer)
    }

    /// Starts it where it does not run, and waits until it listens.
    pub fn run(&mut self) {
        self.child = Some(self.spawn());
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "pgbouncer does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One more process on the same port (`so_reuseport`), which listens once this returns.
    pub fn beside(&self) -> Beside {
        let mut child = self.spawn();
        let begun = Instant::now();
        while !is_listening(&mut child) {
            assert!(begun.elapsed() < Duration::from_secs(20), "pgbouncer does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Beside(child)
    }

    fn spawn(&self) -> Child {
        let mut command = self.owner.command(&self.program);
        command.arg("-q").arg(self.folder.path().join("pgbouncer.ini"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL through it.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("postgresql://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// Another process of one.
pub struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether it has a socket that listens, of those that the kernel lists.
fn is_listening(child: &mut Child) -> bool {
    assert!(child.try_wait().unwrap().is_none(), "pgbouncer ended");
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let inodes: Vec<_> = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&"0A"))
        .filter_map(|fields| fields.get(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    let Ok(files) = std::fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    files
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        self.kill();
    }
}
