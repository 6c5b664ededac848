use std::path::{Path, PathBuf};

use super::exposure;
use crate::configuration::{Database, DatabaseSettings};
use crate::db::{self, DbError, Endpoint, Sessions, admin};
use crate::embedded::{self, EmbeddedError, EmbeddedServer, Options, Progress};
use crate::migrations::{InvalidFiles, MigrationError, Migrations, RunOptions, Runner};

/// Database of the embedded server that `serve` uses.
const DATABASE: &str = "bailiwick";

/// A PostgreSQL server that is there, with the ways to connect to one of its databases.
pub struct Deployment {
    embedded: Option<(EmbeddedServer, Options)>,
    app: Option<Endpoint>,
    admin: Option<Endpoint>,
    backup: Option<Endpoint>,
    embedding_dimensions: Option<u16>,
}

/// Why the database could not be made ready. The display says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DeploymentError {
    #[error("{}", embedded::explain(.0))]
    Embedded(#[from] EmbeddedError),
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Migration(#[from] MigrationError),
    #[error("{0}")]
    Files(#[from] InvalidFiles),
    #[error(
        "this needs an administrator's connection: set BAILIWICK_ADMIN_DATABASE_URL to the database as its owner or a superuser"
    )]
    NoAdmin,
    #[error(
        "this needs the application's connection: set BAILIWICK_DATABASE_URL to the database as the role bailiwick_app"
    )]
    NoApp,
    #[error(
        "BAILIWICK_ADMIN_DATABASE_URL leads to a pooler in transaction mode (PgBouncer), where sessions do not last: migrations, upkeep and \
         seals need locks that stay theirs.\nPoint it at PostgreSQL itself, past the pooler."
    )]
    AdminPooler,
}

impl Deployment {
    /// Finds the server that the settings name, or starts our own and brings its schema up to date.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, DeploymentError> {
        let deployment = Self::attach(settings).await?;
        deployment.check_administration().await?;
        if let Some((server, _)) = &deployment.embedded {
            deployment.create_database(server, DATABASE).await?;
            deployment.migrate().await?;
            // For doctor; a PostgreSQL of this machine's may not have it.
            if let Err(error) = admin::count_statements(&admin::connect(deployment.admin()?).await?).await {
                tracing::debug!(%error, "slow statements will not be known");
            }
        }
        Ok(deployment)
    }

    /// Like [`open`](Self::open), but for a database of that name, made if it is absent: apart from the one that is served.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub async fn open_apart(settings: &DatabaseSettings, database: &str) -> Result<Self, DeploymentError> {
        let mut deployment = Self::attach(settings).await?;
        if let Some((server, _)) = &deployment.embedded {
            deployment.app = Some(server.config("bailiwick_app", database).into());
            deployment.admin = Some(server.config("postgres", database).into());
            deployment.create_database(server, database).await?;
            deployment.migrate().await?;
        }
        Ok(deployment)
    }

    /// Finds the server that the settings name, or starts our own, and leaves its databases as they are.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub async fn attach(settings: &DatabaseSettings) -> Result<Self, DeploymentError> {
        let embedding_dimensions = settings.embedding.dimensions;
        match &settings.database {
            Database::External(external) => {
                let deployment = Self {
                    embedded: None,
                    app: external.app.clone(),
                    admin: external.admin.clone(),
                    backup: external.backup.clone(),
                    embedding_dimensions,
                };
                deployment.warn_of_ways().await;
                Ok(deployment)
            }
            Database::Embedded { data_dir, pg_bin } => {
                let data_dir = match data_dir {
                    Some(dir) => dir.clone(),
                    None => embedded::default_data_dir()?,
                };
                let mut options = Options::new(data_dir);
                options.pg_bin.clone_from(pg_bin);
                options.keeper = keeper();
                options.progress = Progress::stderr();
                let server = EmbeddedServer::start(options.clone()).await?;
                Ok(Self {
                    app: Some(server.config("bailiwick_app", DATABASE).into()),
                    admin: Some(server.config("postgres", DATABASE).into()),
                    backup: None,
                    embedded: Some((server, options)),
                    embedding_dimensions,
                })
            }
        }
    }

    /// Warns of ways to another's server that strangers may listen on.
    async fn warn_of_ways(&self) {
        let direct = self.app.as_ref().filter(|app| app.is_pooled()).map(Endpoint::direct);
        let ways = [
            ("BAILIWICK_DATABASE_URL", self.app.as_ref()),
            ("BAILIWICK_DIRECT_DATABASE_URL", direct),
            ("BAILIWICK_ADMIN_DATABASE_URL", self.admin.as_ref()),
            ("BAILIWICK_BACKUP_DATABASE_URL", self.backup.as_ref()),
        ];
        for (name, endpoint) in ways {
            if let Some(endpoint) = endpoint {
                exposure::warn(name, endpoint).await;
            }
        }
    }

    /// Refuses to administrate through a pooler.
    async fn check_administration(&self) -> Result<(), DeploymentError> {
        let Some(admin) = self.admin.as_ref().filter(|_| !self.is_embedded()) else { return Ok(()) };
        match db::sessions(admin).await {
            Ok(Sessions::Lent) => Err(DeploymentError::AdminPooler),
            Ok(Sessions::Kept) => Ok(()),
            // Whoever needs it will tell.
            Err(error) => {
                tracing::debug!(%error, "the administrator's sessions could not be looked at");
                Ok(())
            }
        }
    }

    /// Starts our own server again whenever it is found dead, until the handle is aborted; `None` if it is somebody else's.
    #[must_use]
    pub fn watch(&self) -> Option<tokio::task::JoinHandle<()>> {
        self.embedded.as_ref().map(|(server, options)| server.watch(options.clone()))
    }

    /// Whether this is our own server.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Our own server.
    #[must_use]
    pub fn server(&self) -> Option<&EmbeddedServer> {
        self.embedded.as_ref().map(|(server, _)| server)
    }

    /// The folder of our own server.
    #[must_use]
    pub fn data_dir(&self) -> Option<&Path> {
        self.embedded.as_ref().map(|(server, _)| server.data_dir())
    }

    /// How the application connects.
    ///
    /// # Errors
    /// [`DeploymentError::NoApp`].
    pub fn app(&self) -> Result<&Endpoint, DeploymentError> {
        self.app.as_ref().ok_or(DeploymentError::NoApp)
    }

    /// How an administrator connects.
    ///
    /// # Errors
    /// [`DeploymentError::NoAdmin`].
    pub fn admin(&self) -> Result<&Endpoint, DeploymentError> {
        self.admin.as_ref().ok_or(DeploymentError::NoAdmin)
    }

    /// How a backup connects: as its own role, or else as the administrator.
    ///
    /// # Errors
    /// [`DeploymentError::NoAdmin`].
    pub fn backup(&self) -> Result<&Endpoint, DeploymentError> {
        self.backup.as_ref().map_or_else(|| self.admin(), Ok)
    }

    /// The folder of our own server's programs.
    #[must_use]
    pub fn bin_dir(&self) -> Option<&Path> {
        self.embedded.as_ref().map(|(server, _)| server.bin_dir())
    }

    /// How to run migrations here.
    #[must_use]
    pub fn run_options(&self) -> RunOptions {
        RunOptions { embedding_dimensions: self.embedding_dimensions, ..RunOptions::default() }
    }

    /// Brings the schema up to date and makes the coming months' partitions.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub async fn migrate(&self) -> Result<(), DeploymentError> {
        let migrations = Migrations::embedded()?;
        let mut client = admin::connect(self.admin()?).await?;
        Runner::new(&migrations, self.run_options()).up(&mut client, None, |_| ()).await?;
        // Months are made ahead, so this can wait for whatever is in its way.
        if let Err(error) = admin::maintain_partitions(&client).await {
            tracing::error!(%error, "the coming months' partitions could not be made");
        }
        Ok(())
    }

    /// Drops a database of our own server.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub async fn drop_database(&self, database: &str) -> Result<(), DeploymentError> {
        if let Some((server, _)) = &self.embedded {
            let client = admin::connect(&server.config("postgres", "postgres")).await?;
            admin::drop_database(&client, database).await?;
        }
        Ok(())
    }

    async fn create_database(&self, server: &EmbeddedServer, database: &str) -> Result<(), DeploymentError> {
        let client = admin::connect(&server.config("postgres", "postgres")).await?;
        admin::create_database(&client, database).await?;
        Ok(())
    }
}

/// The program that stops an idle server: ourselves, when we are the `bailiwick` binary, else the binary beside us.
/// Without one the last participant stops the server as it leaves.
fn keeper() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let name = format!("bailiwick{}", std::env::consts::EXE_SUFFIX);
    if own.file_name()?.to_str() == Some(name.as_str()) {
        return Some(own);
    }
    // Examples and tests lie a folder below the binary of the same build.
    let folder = own.parent()?;
    [folder.join(&name), folder.parent()?.join(&name)].into_iter().find(|path| path.is_file())
}
