//! The embedded PostgreSQL: a server of our own for whoever names none.
//!
//! Several `bailiwick` processes share one server for each data folder (a desktop client starts one each).
//! Each is a *participant* and holds a lease; the first starts the server, and a *keeper* stops it when the
//! last has been gone for a while. All are equals, any may be killed at any time: what is shared is only locks
//! that the kernel releases (`locks`) and a connection that either works or does not (`server`).

mod account;
mod builds;
mod cluster;
mod error;
mod keeper;
mod layout;
mod lease;
mod locks;
mod model;
mod package;
mod participant;
mod pidfile;
mod pip;
mod progress;
mod record;
mod server;
mod settings;
mod unpack;
mod watch;
mod wheel;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use self::{
    account::Account,
    error::IoContext,
    layout::Layout,
    lease::Lease,
    locks::{Lock, Mode},
    server::Liveness,
};
pub use self::{
    error::{EmbeddedError, explain},
    keeper::run_keeper,
    layout::{default_data_dir, has_cluster},
    model::{fetched_minilm, minilm},
    participant::run_participant,
    progress::Progress,
};

/// How long the server stays when the last participant has gone, unless told otherwise.
pub const DEFAULT_IDLE_GRACE: Duration = Duration::from_secs(30);
/// How long to wait for another process that prepares the server; a slow download takes minutes.
const PREPARING: Duration = Duration::from_secs(900);
/// How long to wait for it in silence.
const SILENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// How to run the embedded server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept. One folder is one server.
    pub data_dir: PathBuf,
    /// Folder of PostgreSQL's programs to use (`BAILIWICK_PG_BIN`). Otherwise one is found, or downloaded.
    pub pg_bin: Option<PathBuf>,
    /// Whether a PostgreSQL of this machine may be used, where none was named and none was downloaded before.
    pub local: bool,
    /// How long the server stays when the last participant has gone. The first one's value holds.
    pub idle_grace: Duration,
    /// The program to run as `KEEPER embedded-keeper DATA_DIR GRACE_MS`, whose body is [`run_keeper`]. With
    /// none, the last participant stops the server as it leaves.
    pub keeper: Option<PathBuf>,
    /// How many connections the server takes. The first one's value holds.
    pub most_connections: u16,
    /// Where the steps of a first start are told.
    pub progress: Progress,
}

impl Options {
    /// The defaults for a data folder: no keeper, and no word of progress.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            pg_bin: None,
            local: true,
            idle_grace: DEFAULT_IDLE_GRACE,
            keeper: None,
            most_connections: settings::MOST_CONNECTIONS,
            progress: Progress::silent(),
        }
    }
}

/// A participant's lease on the running server. Dropping it lets go of the server, which stops when nobody
/// else needs it: after a grace by the keeper, or, without one, before the drop returns.
#[derive(Debug)]
pub struct EmbeddedServer {
    lease: Lease,
    layout: Layout,
    bin_dir: PathBuf,
    started_here: bool,
}

impl EmbeddedServer {
    /// Attaches to the data folder's server, starting it (and, the first time, downloading PostgreSQL and
    /// creating the databases) if it does not run.
    pub async fn start(options: Options) -> Result<Self, EmbeddedError> {
        let (layout, account) = Layout::prepare(&options.data_dir)?;
        let lease = Lease::take(&layout).await?;
        let mut server = Self { lease, layout, bin_dir: PathBuf::new(), started_here: false };
        let start = server.attach_or_lock(&options.progress).await?;
        // Before the server is started: should we be killed meanwhile, there is somebody to stop it.
        server.keep(&options).await;
        match start {
            Some(_start) => server.bring_up(&options, &account).await?,
            None => server.bin_dir = server.running_bin_dir(&options, &account).await?,
        }
        Ok(server)
    }

    /// The folder of the server's unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.layout.socket_dir()
    }

    /// The port, which is only part of the socket's name: no TCP port is open.
    pub fn port(&self) -> u16 {
        layout::PORT
    }

    /// The folder of the server's programs, such as `pg_dump` and `psql`.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The data folder, by its real path.
    pub fn data_dir(&self) -> &Path {
        self.layout.data_dir()
    }

    /// Makes a folder, outside of the data folder too, that PostgreSQL may write into.
    ///
    /// # Errors
    /// [`EmbeddedError`] if it cannot be made, or its account cannot get there.
    pub fn make_folder(&self, path: &Path) -> Result<(), EmbeddedError> {
        let account = Account::for_data_dir(self.data_dir())?;
        std::fs::create_dir_all(path).doing("create", path)?;
        if let Some(blocking) = account.blocked_at(path.parent().unwrap_or(path)) {
            return Err(EmbeddedError::FolderOutOfReach {
                path: path.into(),
                blocking,
                account: account.name().to_owned(),
            });
        }
        layout::private_dir(path, &account)
    }

    /// How to connect through the unix socket. The superuser is `postgres`.
    pub fn config(&self, role: &str, database: &str) -> tokio_postgres::Config {
        server::config(self.socket_dir(), role, database)
    }

    /// Whether this call started the server, and did not find it running.
    pub fn started_here(&self) -> bool {
        self.started_here
    }

    /// Waits until the server is live (`None`), or it is ours to start (the start lock).
    async fn attach_or_lock(&self, progress: &Progress) -> Result<Option<Lock>, EmbeddedError> {
        let begun = Instant::now();
        let mut waiting = None;
        loop {
            if server::probe(&self.layout).await? == Liveness::Live {
                return Ok(None);
            }
            if let Some(start) = Lock::try_take(&self.layout.start_lock(), Mode::Exclusive)? {
                // Another may have started it since we looked, or it is recovering by itself.
                let live = server::wait_until_live(&self.layout, progress).await?;
                return Ok((!live).then_some(start));
            }
            if begun.elapsed() > PREPARING {
                return Err(busy("preparing PostgreSQL", &self.layout, PREPARING));
            }
            if begun.elapsed() > SILENCE && waiting.is_none() {
                waiting = Some(progress.step("Waiting for another bailiwick process that is preparing PostgreSQL"));
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Makes sure that somebody will stop the server.
    async fn keep(&mut self, options: &Options) {
        let kept = match &options.keeper {
            Some(program) => keeper::ensure(&self.layout, program, options.idle_grace).await,
            None => false,
        };
        if !kept {
            self.lease.stop_when_last();
        }
    }

    /// All from the download to the running server. To be called under the start lock.
    async fn bring_up(&mut self, options: &Options, account: &Account) -> Result<(), EmbeddedError> {
        let (layout, progress) = (&self.layout, &options.progress);
        let build = builds::choose(options, layout, account).await?;
        let new = cluster::ensure(layout, &build, account, progress).await?;
        settings::write(layout, &build, options.most_connections)?;
        record::write(layout, &build.bin_dir)?;
        let _step = new.then(|| progress.step("Starting PostgreSQL"));
        server::start(layout, &build, account, progress).await?;
        self.bin_dir = build.bin_dir;
        self.started_here = true;
        Ok(())
    }

    /// The programs of the server that we found running.
    async fn running_bin_dir(&self, options: &Options, account: &Account) -> Result<PathBuf, EmbeddedError> {
        if let Some(bin_dir) = record::bin_dir(&self.layout) {
            return Ok(bin_dir);
        }
        let start = Lock::take(&self.layout.start_lock(), Mode::Exclusive, PREPARING).await?;
        let _start = start.ok_or_else(|| busy("preparing PostgreSQL", &self.layout, PREPARING))?;
        let build = builds::choose(options, &self.layout, account).await?;
        record::write(&self.layout, &build.bin_dir)?;
        Ok(build.bin_dir)
    }
}

fn busy(doing: &'static str, layout: &Layout, waited: Duration) -> EmbeddedError {
    EmbeddedError::Busy { doing, data_dir: layout.data_dir().into(), seconds: waited.as_secs() }
}

/// Runs work that blocks on a thread where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(EmbeddedError::io("finish work in", Path::new("a thread"), std::io::Error::other(error))),
    }
}
