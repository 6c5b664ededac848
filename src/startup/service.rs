use std::sync::Arc;
use std::time::Duration;

use super::{Deployment, DeploymentError, embedding, exposure, spool};
use crate::call::{CallOptions, Calls};
use crate::configuration::{DatabaseSettings, IdentitySettings};
use crate::db::{
    self, DbError, Endpoint, Pool, PoolOptions, ReplicaOptions, Sessions, StartupError, System, TenantStatus,
};
use crate::embedding::Embeddings;
use crate::embedding::worker::Worker;
use crate::http::{Exposition, Face, HttpOptions};
use crate::identity::{Caller, Issuer, IssuerOptions, KeyRing};
use crate::mcp::{Server, Toolbox};
use crate::migrations::{InvalidFiles, Migrations, Pending};

/// Longest wait at start for what a replica says, whatever its URL says of patience: the primary serves without it.
const LONGEST_LOOK: Duration = Duration::from_secs(8);

/// The role must be bound there, too. A replica that is away is waited for while the primary serves, and looked at when it comes.
async fn check_replica(replica: &ReplicaOptions) -> Result<(), ServiceError> {
    exposure::warn("BAILIWICK_REPLICA_DATABASE_URL", &replica.endpoint).await;
    let away = |error: &DbError| tracing::warn!(%error, "the replica cannot be reached for now");
    match db::sessions_soon(&replica.endpoint).await {
        Ok(Sessions::Lent) => return Err(ServiceError::ReplicaPooler),
        Ok(Sessions::Kept) => {}
        // It is looked at again before it is used.
        Err(error) => {
            away(&error);
            return Ok(());
        }
    }
    let pool = Pool::new(&replica.endpoint, &PoolOptions { size: 1, ..PoolOptions::default() })?;
    let late = |_| Err(DbError::TimedOut("it has stopped answering".to_owned()));
    match tokio::time::timeout(LONGEST_LOOK, System::new(pool).role_faults()).await.unwrap_or_else(late) {
        Ok(faults) if faults.is_empty() => {}
        Ok(faults) => {
            return Err(ServiceError::PowerfulRole { faults: format!("on the replica {}", faults.join("; ")) });
        }
        Err(error) => away(&error),
    }
    Ok(())
}

/// The tenant that is served on our own database unless another is named.
pub(crate) const DEFAULT_TENANT: &str = "demo";

/// A call's start is told by this machine's clock and its end by the database's.
const LARGEST_CLOCK_SKEW: Duration = Duration::from_secs(300);

/// Tools on a database that was found fit to serve.
pub struct Service {
    toolbox: Arc<Toolbox>,
    calls: Calls,
    embeddings: Embeddings,
    worker: Option<Worker>,
}

/// Why the service does not start. The display says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ServiceError {
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    #[error("{}", crate::embedded::explain(.0))]
    NoDataFolder(#[from] crate::embedded::EmbeddedError),
    #[error("{0}")]
    Db(#[from] DbError),
    #[error("{0}")]
    Startup(#[from] StartupError),
    #[error("{0}")]
    Files(#[from] InvalidFiles),
    #[error(
        "refusing to serve: {faults}.\nRow-level security would not keep tenants apart. Connect as the role bailiwick_app \
         that `bailiwick migrate up` makes: set its password (ALTER ROLE bailiwick_app PASSWORD '…') and put it into BAILIWICK_DATABASE_URL."
    )]
    PowerfulRole { faults: String },
    #[error(
        "the database has no bailiwick schema, or not one that this role may see.\nRun `bailiwick migrate up` with BAILIWICK_ADMIN_DATABASE_URL, and connect as bailiwick_app."
    )]
    NotInitialised,
    #[error(
        "the database's schema is older than this program.\nRun `bailiwick migrate up` with BAILIWICK_ADMIN_DATABASE_URL."
    )]
    Behind,
    #[error(
        "this machine's clock and the database's are {0} s apart: the audit trail would tell wrong times.\nSet the clocks (NTP) and start again."
    )]
    ClockSkew(u64),
    #[error(
        "BAILIWICK_DATABASE_URL leads to a pooler in transaction mode (PgBouncer), where sessions do not last.\nSet BAILIWICK_DIRECT_DATABASE_URL, too: \
         the same role and database past the pooler, for the lock by which other servers know that this one lives, and for notifications."
    )]
    Pooler,
    #[error(
        "BAILIWICK_DIRECT_DATABASE_URL leads to a pooler in transaction mode (PgBouncer) itself.\nPoint it at PostgreSQL, past the pooler."
    )]
    DirectPooler,
    #[error(
        "BAILIWICK_DIRECT_DATABASE_URL leads to another database than BAILIWICK_DATABASE_URL: calls would be taken for those of a server \
         that is gone.\nBoth must lead to the same one."
    )]
    OtherDatabase,
    #[error(
        "BAILIWICK_REPLICA_DATABASE_URL leads to a pooler in transaction mode (PgBouncer), where nothing that is prepared lasts.\nPoint it \
         at the standby itself, past the pooler, or let the pooler keep sessions."
    )]
    ReplicaPooler,
    #[error("BAILIWICK_DIRECT_DATABASE_URL, which must lead to the server that takes writes: {0}")]
    Direct(DbError),
    #[error("{0}")]
    Issuer(String),
    #[error("{0}")]
    Embedder(String),
    #[error("no tenant was named.\nSet BAILIWICK_TENANT (or --tenant) to the slug or id of the tenant to serve.")]
    NoTenant,
    #[error("there is no active tenant {0:?}.\nSet BAILIWICK_TENANT to the slug or id of a tenant that is active.")]
    UnknownTenant(String),
}

impl Service {
    /// Checks that the database is fit (the role is bound by row-level security, the schema is ours and current) and
    /// builds the tools on it.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn start(deployment: &Deployment, settings: &DatabaseSettings) -> Result<Self, ServiceError> {
        let mut service = Self::prepare(deployment, settings).await?;
        service.worker = Worker::start(&service.calls, &service.embeddings, deployment.app()?);
        Ok(service)
    }

    /// Like [`start`](Self::start), with nothing going on in the background: for a command that embeds by itself.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn prepare(deployment: &Deployment, settings: &DatabaseSettings) -> Result<Self, ServiceError> {
        let app = deployment.app()?;
        if !deployment.is_embedded() {
            check_sessions(app).await?;
        }
        let pool = Pool::new(app.clone(), &PoolOptions { size: 1, ..PoolOptions::default() })?;
        let system = System::new(pool.clone());
        let faults = system.role_faults().await?;
        if !faults.is_empty() {
            return Err(ServiceError::PowerfulRole { faults: faults.join("; ") });
        }
        match system.pending_migrations(&Migrations::embedded()?).await? {
            Pending::NotInitialised => return Err(ServiceError::NotInitialised),
            Pending::Behind { .. } => return Err(ServiceError::Behind),
            Pending::UpToDate { .. } => {}
        }
        let skew = system.clock_skew().await?;
        if skew > LARGEST_CLOCK_SKEW {
            return Err(ServiceError::ClockSkew(skew.as_secs()));
        }
        let space = embedding::space(&system, settings).await?;
        let spool = spool::folder(settings, app, &system).await?;
        pool.close();
        if let Some(replica) = &settings.replica {
            check_replica(replica).await?;
        }
        let options = CallOptions { replica: settings.replica.clone(), ..CallOptions::new(spool) };
        let calls = Calls::open(app, &options)?;
        Ok(Self { toolbox: Arc::new(Toolbox::new(&space)), calls, embeddings: space.embeddings, worker: None })
    }

    /// The caller of a stdio server: the configured user of the configured tenant.
    ///
    /// # Errors
    /// [`ServiceError::NoTenant`] or [`ServiceError::UnknownTenant`].
    pub async fn caller(&self, deployment: &Deployment, identity: &IdentitySettings) -> Result<Caller, ServiceError> {
        let name = match &identity.tenant {
            Some(name) => name.as_str(),
            None if deployment.is_embedded() => DEFAULT_TENANT,
            None => return Err(ServiceError::NoTenant),
        };
        let tenant =
            self.calls.system().resolve_tenant(name).await?.filter(|tenant| tenant.status == TenantStatus::Active);
        let tenant = tenant.ok_or_else(|| ServiceError::UnknownTenant(name.to_owned()))?;
        tracing::info!(tenant = %tenant.slug, user = %identity.user_id, scopes = %identity.scopes, "serving");
        Ok(Caller { tenant_id: tenant.id, user_id: identity.user_id.clone(), scopes: identity.scopes.clone() })
    }

    /// The calls by which everything is done.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The tools on offer.
    #[must_use]
    pub fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    /// An MCP server that runs every call as this caller.
    #[must_use]
    pub fn server(&self, caller: Caller) -> Server {
        Server::new(Arc::clone(&self.toolbox), self.calls.clone(), caller)
    }

    /// The routes of the HTTP face, each request as whom its key or token says.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no connection for the application, or no valid pool.
    pub fn router(
        &self,
        deployment: &Deployment,
        options: HttpOptions,
        issuer: Option<IssuerOptions>,
        exposition: Option<Exposition>,
    ) -> Result<axum::Router, ServiceError> {
        let server = Server::for_requests(Arc::clone(&self.toolbox), self.calls.clone());
        Ok(crate::http::router(self.face(deployment, options, issuer, exposition)?, server))
    }

    /// What the routes of the HTTP face stand on, whoever answers.
    ///
    /// # Errors
    /// [`ServiceError`] if there is no connection for the application, or no valid pool.
    pub fn face(
        &self,
        deployment: &Deployment,
        options: HttpOptions,
        issuer: Option<IssuerOptions>,
        exposition: Option<Exposition>,
    ) -> Result<Face, ServiceError> {
        if exposition.is_some() {
            crate::call::metering::begin_failures(self.toolbox.scopes().map(|(tool, _)| tool));
        }
        // Connections of their own: a flood of bad keys must not keep calls or the trail waiting.
        let pool = Pool::new(deployment.app()?.clone(), &PoolOptions { size: 2, ..PoolOptions::default() })?;
        let system = System::new(pool);
        let keys = KeyRing::new(system.clone());
        let issuer = issuer.map(|issuer| Issuer::new(issuer, system)).transpose().map_err(ServiceError::Issuer)?;
        if let Some(issuer) = issuer.clone() {
            // It may come up after us: a failure is told, and tried again with the first token.
            tokio::spawn(async move { issuer.warm_up().await });
        }
        Ok(Face { calls: self.calls.clone(), keys, issuer, toolbox: Arc::clone(&self.toolbox), exposition, options })
    }

    /// What it embeds with.
    #[must_use]
    pub fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    /// Lets the calls under way end, each with its answer and its row; those that take longer than `patience` are stopped. True
    /// if every row is kept.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.calls.drain(patience).await
    }
}

/// That what needs a session has one, and of the right database.
async fn check_sessions(app: &Endpoint) -> Result<(), ServiceError> {
    let found = db::sessions(app.direct()).await.map_err(|error| match app.is_pooled() {
        true => ServiceError::Direct(error),
        false => ServiceError::Db(error),
    });
    match (found?, app.is_pooled()) {
        (Sessions::Lent, false) => Err(ServiceError::Pooler),
        (Sessions::Lent, true) => Err(ServiceError::DirectPooler),
        (Sessions::Kept, true) if !db::is_same_database(app.direct(), app).await? => Err(ServiceError::OtherDatabase),
        (Sessions::Kept, _) => Ok(()),
    }
}
