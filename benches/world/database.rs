use std::path::PathBuf;

use bailiwick::db::admin::{self, NewTenant};
use bailiwick::embedded::{EmbeddedServer, Options, Progress};
use bailiwick::identity::TenantId;
use bailiwick::migrations::{Migrations, RunOptions, Runner};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::Result;

/// A fresh database of one bench run, on the embedded PostgreSQL.
pub struct Database {
    /// How the application connects.
    pub app: Config,
    /// How a superuser connects.
    pub admin: Config,
    _server: EmbeddedServer,
}

/// A document to load, with its vector as text or without one.
pub struct Loaded {
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// Its vector.
    pub vector: Option<Vec<f32>>,
}

/// Where the benches' PostgreSQL and models are.
pub fn data_dir() -> PathBuf {
    match std::env::var_os("BAILIWICK_BENCH_DATA_DIR") {
        Some(dir) => dir.into(),
        // As root, PostgreSQL runs as an unprivileged user, who may not reach this folder.
        None if rustix::process::geteuid().is_root() => PathBuf::from("/var/tmp/bailiwick-bench"),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench"),
    }
}

/// Where the socket of a configuration is.
pub fn socket_dir(config: &Config) -> Result<String> {
    match config.get_hosts().first() {
        Some(Host::Unix(folder)) => Ok(folder.display().to_string()),
        _ => Err("no socket".into()),
    }
}

/// A configuration over a socket as a URL, for another process.
pub fn url(config: &Config) -> Result<String> {
    let folder = socket_dir(config)?.replace('/', "%2F");
    let port = config.get_ports().first().copied().unwrap_or(5_432);
    let (user, database) = (config.get_user().unwrap_or_default(), config.get_dbname().unwrap_or_default());
    Ok(format!("postgresql://{user}@{folder}:{port}/{database}"))
}

impl Database {
    /// Makes the database anew.
    pub async fn create(name: &str, dimensions: u16) -> Result<Self> {
        let database = Self::on_server(name).await?;
        let postgres = admin::connect(Config::clone(&database.admin).dbname("postgres")).await?;
        admin::drop_database(&postgres, name).await?;
        admin::create_database(&postgres, name).await?;
        let mut client = admin::connect(&database.admin).await?;
        let options = RunOptions { embedding_dimensions: Some(dimensions), ..RunOptions::default() };
        Runner::new(&Migrations::embedded()?, options).up(&mut client, None, |_| ()).await?;
        Ok(database)
    }

    /// The database of an earlier run, if there is one and it was [made ready](Self::is_ready) with the same world.
    pub async fn reuse(name: &str, world: &str) -> Result<Option<Self>> {
        let database = Self::on_server(name).await?;
        let postgres = admin::connect(Config::clone(&database.admin).dbname("postgres")).await?;
        let sql = "SELECT FROM pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') = $2";
        let known = postgres.query_opt(sql, &[&name, &world]).await?;
        Ok(known.map(|_| database))
    }

    /// Notes what it is filled with.
    pub async fn is_ready(&self, name: &str, world: &str) -> Result<()> {
        let client = self.connect().await?;
        Ok(client.batch_execute(&format!("COMMENT ON DATABASE {name} IS '{world}'")).await?)
    }

    async fn on_server(name: &str) -> Result<Self> {
        let mut options = Options::new(data_dir());
        options.keeper = Some(env!("CARGO_BIN_EXE_bailiwick").into());
        options.progress = Progress::stderr();
        let server = EmbeddedServer::start(options).await.map_err(|error| bailiwick::embedded::explain(&error))?;
        Ok(Self { app: server.config("bailiwick_app", name), admin: server.config("postgres", name), _server: server })
    }

    /// A superuser's connection.
    pub async fn connect(&self) -> Result<Client> {
        Ok(admin::connect(&self.admin).await?)
    }

    /// Makes a tenant.
    pub async fn tenant(&self, slug: &str) -> Result<TenantId> {
        let tenant = NewTenant {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            monthly_budget_usd: None,
            max_documents: None,
            max_storage_mb: None,
            settings: None,
        };
        let made = admin::create_tenant(&self.connect().await?, &tenant).await?;
        made.ok_or_else(|| format!("there is a tenant {slug} already").into())
    }

    /// A tenant of an earlier run.
    pub async fn known_tenant(&self, slug: &str) -> Result<TenantId> {
        let row = self.connect().await?.query_one("SELECT id FROM tenants WHERE slug = $1", &[&slug]).await?;
        Ok(TenantId::from(row.try_get::<_, uuid::Uuid>(0)?))
    }

    /// Stores documents as somebody with psql would, `batch` a transaction: the triggers cut, count and index them.
    pub async fn load(
        &self,
        tenant: TenantId,
        model: &str,
        documents: impl Iterator<Item = Loaded>,
        batch: usize,
    ) -> Result<()> {
        let client = self.connect().await?;
        client.batch_execute(&format!("SET app.current_tenant_id = '{tenant}'; SET synchronous_commit = off")).await?;
        let insert = client
            .prepare(
                "INSERT INTO documents (tenant_id, title, content, embedding, embedding_status, embedding_model)
                 SELECT current_tenant_id(), title, content, embedding::vector, 'embedded', $4
                 FROM unnest($1::text[], $2::text[], $3::text[]) AS d (title, content, embedding)",
            )
            .await?;
        let mut documents = documents.peekable();
        while documents.peek().is_some() {
            let (mut titles, mut bodies, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
            for document in documents.by_ref().take(batch) {
                titles.push(document.title);
                bodies.push(document.body);
                vectors.push(document.vector.map(|vector| format!("{vector:?}")));
            }
            client.execute(&insert, &[&titles, &bodies, &vectors, &model]).await?;
        }
        Ok(())
    }
}
