use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::db::{Deadlines, PoolOptions, admin};
use bailiwick::embedded::EmbeddedServer;
use bailiwick::identity::TenantId;
use bailiwick::migrations::{Migrations, RunOptions, Runner};
use sha2::{Digest, Sha256};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};
use uuid::Uuid;

use super::server;

/// Dimensions of the tests' embeddings: small, so that a test can write a vector by hand.
pub const DIMENSIONS: u16 = 4;

/// A database of one test, copied from the migrated template; dropped with the value.
pub struct TestDatabase {
    name: String,
    app: Config,
    admin: Config,
}

/// A tenant of a test.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub slug: &'static str,
}

impl TestDatabase {
    pub async fn create() -> Self {
        let server = server().await;
        let postgres = admin::connect(&server.config("postgres", "postgres")).await.unwrap();
        let template = template(&postgres).await;
        let name = fresh_name();
        admin::drop_database(&postgres, &name).await.unwrap();
        // Files are copied sooner than pages are logged.
        let create = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy");
        postgres.batch_execute(&create).await.unwrap();
        // Privileges of a database are not copied with it.
        postgres
            .batch_execute(&format!(
                "REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC; GRANT TEMPORARY ON DATABASE {name} TO bailiwick_statistics"
            ))
            .await
            .unwrap();
        Self { app: server.config("bailiwick_app", &name), admin: server.config("postgres", &name), name }
    }

    /// A database that `migrate up` was run on, rather than a copy of one.
    pub async fn migrated_in_place() -> Self {
        Self::of_dimensions(DIMENSIONS).await
    }

    /// The same, for vectors of so many dimensions.
    pub async fn of_dimensions(dimensions: u16) -> Self {
        let database = Self::empty().await;
        let mut client = database.connect_admin().await;
        let options = RunOptions { embedding_dimensions: Some(dimensions), ..RunOptions::default() };
        Runner::new(&Migrations::embedded().unwrap(), options).up(&mut client, None, |_| ()).await.unwrap();
        database
    }

    /// A database on another server than the tests share, for what is done to a server as a whole.
    pub async fn migrated_on(server: &EmbeddedServer) -> Self {
        let postgres = admin::connect(&server.config("postgres", "postgres")).await.unwrap();
        let name = fresh_name();
        admin::create_database(&postgres, &name).await.unwrap();
        let database =
            Self { app: server.config("bailiwick_app", &name), admin: server.config("postgres", &name), name };
        let mut client = database.connect_admin().await;
        let options = RunOptions { embedding_dimensions: Some(DIMENSIONS), ..RunOptions::default() };
        Runner::new(&Migrations::embedded().unwrap(), options).up(&mut client, None, |_| ()).await.unwrap();
        database
    }

    /// A database without a schema.
    pub async fn empty() -> Self {
        let server = server().await;
        let postgres = admin::connect(&server.config("postgres", "postgres")).await.unwrap();
        let name = fresh_name();
        admin::drop_database(&postgres, &name).await.unwrap();
        admin::create_database(&postgres, &name).await.unwrap();
        Self { app: server.config("bailiwick_app", &name), admin: server.config("postgres", &name), name }
    }

    /// A database with nothing of anybody's in it, to restore into.
    pub async fn bare() -> Self {
        let server = server().await;
        let postgres = admin::connect(&server.config("postgres", "postgres")).await.unwrap();
        let name = fresh_name();
        postgres.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Self { app: server.config("bailiwick_app", &name), admin: server.config("postgres", &name), name }
    }

    /// How the application connects.
    pub fn app(&self) -> &Config {
        &self.app
    }

    /// Bounds for calls, with a spool of this database's own. On a loaded machine a connection takes its time, and so does what was
    /// built without optimisation over a document of a megabyte.
    pub fn call_options(&self) -> CallOptions {
        let options = CallOptions::new(std::env::temp_dir().join(format!("bailiwick-spool-{}", self.name)));
        let pool = PoolOptions { wait: Duration::from_secs(3), create: Duration::from_secs(4), ..options.pool };
        let database = Deadlines { idle: Duration::from_secs(45), ..options.database };
        CallOptions { deadline: Duration::from_secs(30), database, pool, ..options }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A URL for a process: as that role.
    pub async fn url(&self, role: &str) -> String {
        url(&self.app, role)
    }

    /// A connection as the application role, without context.
    pub async fn connect_app(&self) -> Client {
        connect(&self.app).await
    }

    /// A connection as superuser: to arrange and to look behind the curtain.
    pub async fn connect_admin(&self) -> Client {
        connect(&self.admin).await
    }

    /// One of the two demo tenants.
    pub async fn tenant(&self, slug: &'static str) -> Tenant {
        let row =
            self.connect_admin().await.query_one("SELECT id FROM tenants WHERE slug = $1", &[&slug]).await.unwrap();
        Tenant { id: TenantId::from(row.get::<_, Uuid>(0)), slug }
    }

    /// One value that a superuser reads.
    pub async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.connect_admin().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Statements of a superuser.
    pub async fn execute(&self, sql: &str) {
        self.connect_admin().await.batch_execute(sql).await.unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (name, mut postgres) = (self.name.clone(), self.admin.clone());
        postgres.dbname("postgres");
        let _ = std::fs::remove_dir_all(self.call_options().spool);
        // A runtime of its own: the test's may be shutting down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let postgres = admin::connect(&postgres).await.ok()?;
                admin::drop_database(&postgres, &name).await.ok()
            })
        });
        let _ = dropped.join();
    }
}

/// A URL for a process, as that role, to where such a configuration leads: a socket.
pub fn url(config: &Config, role: &str) -> String {
    let Host::Unix(socket_dir) = &config.get_hosts()[0] else { panic!("{config:?}") };
    let socket_dir = socket_dir.display().to_string().replace('/', "%2F");
    format!("postgresql://{role}@{socket_dir}:{}/{}", config.get_ports()[0], config.get_dbname().unwrap())
}

/// The tests share the server's connections, and a crowd of one may have them all for a moment.
async fn connect(config: &tokio_postgres::Config) -> Client {
    for _ in 0..40 {
        match admin::connect(config).await {
            Ok(client) => return client,
            Err(error) if error.to_string().contains("too many") || error.to_string().contains("reserved") => {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no connection came free in ten seconds")
}

fn fresh_name() -> String {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    format!("t_{}_{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// The migrated template, named after the migrations' content so that an edited migration makes a new one.
async fn template(postgres: &Client) -> String {
    let migrations = Migrations::embedded().unwrap();
    let digest = migrations.iter().fold(Sha256::new(), |hash, migration| hash.chain_update(migration.checksum()));
    let name: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("template_{name}");
    // Other test processes may want it at the same instant.
    postgres.execute("SELECT pg_advisory_lock(hashtext('bailiwick test template'))", &[]).await.unwrap();
    let ready = postgres.query("SELECT FROM pg_database WHERE datname = $1 AND datistemplate", &[&name]).await.unwrap();
    if ready.is_empty() {
        admin::drop_database(postgres, &name).await.unwrap();
        admin::create_database(postgres, &name).await.unwrap();
        let mut client = admin::connect(&server().await.config("postgres", &name)).await.unwrap();
        let options = RunOptions { embedding_dimensions: Some(DIMENSIONS), ..RunOptions::default() };
        Runner::new(&migrations, options).up(&mut client, None, |_| ()).await.unwrap();
        drop(client);
        // Connections to a template keep it from being copied.
        while !postgres.query("SELECT FROM pg_stat_activity WHERE datname = $1", &[&name]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        postgres
            .batch_execute(&format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false"))
            .await
            .unwrap();
    }
    postgres.execute("SELECT pg_advisory_unlock(hashtext('bailiwick test template'))", &[]).await.unwrap();
    name
}
