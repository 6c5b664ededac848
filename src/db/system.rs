mod alerts;
mod archive;
mod backlog;
mod embedding;
mod keys;
pub(super) mod replica;

pub use archive::WalArchive;
pub use backlog::Backlog;

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use super::identity::{DatabaseIdentity, IDENTITY};
use super::{DbError, Parameter, Pool, PoolStatus, TenantStatus, admin, powers};
use crate::identity::TenantId;
use crate::migrations::{self, MigrationError, Migrations, Pending};

const RESOLVE_TENANT: &str = include_str!("../../sql/queries/system/resolve_tenant.sql");
const EMBEDDING_DIMENSIONS: &str = include_str!("../../sql/queries/system/embedding_dimensions.sql");
const CLOCK: &str = include_str!("../../sql/queries/system/clock.sql");
const REAP_CALLS: &str = include_str!("../../sql/queries/system/reap_calls.sql");

/// There is no statement time-out outside a call's transaction.
const LONGEST_QUERY: Duration = Duration::from_secs(5);

/// Why the schema could not be judged.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sources speak for themselves")]
pub enum StartupError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Migration(#[from] MigrationError),
}

/// The second door: what the server asks before there is a tenant. It reads no tenant table; what it may learn of
/// tenants comes from definer functions made for that.
#[derive(Clone)]
pub struct System {
    pool: Pool,
}

/// A tenant as configuration or a credential names it.
#[derive(Debug, Clone)]
pub struct ResolvedTenant {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: String,
    /// Whether it may call.
    pub status: TenantStatus,
}

impl System {
    /// The system door over the application role's pool.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// How its pool stands.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        self.pool.status()
    }

    /// Closes the connections that nobody uses.
    pub(super) fn forget_idle(&self) {
        self.pool.forget_idle();
    }

    /// Why the connected role could see past row-level security, in words for the operator; empty if it could not.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the database cannot be reached.
    pub async fn role_faults(&self) -> Result<Vec<String>, DbError> {
        powers::faults(&self.query_one(powers::ROLE_POWERS, &[]).await?)
    }

    /// How the schema stands against the migrations of this program.
    ///
    /// # Errors
    /// [`StartupError`]: the database cannot be reached, or its schema is one that this program must not touch.
    pub async fn pending_migrations(&self, migrations: &Migrations) -> Result<Pending, StartupError> {
        let endpoint = self.pool.endpoint();
        if endpoint.is_pooled() {
            // These statements are prepared.
            let client = admin::connect(endpoint.direct()).await?;
            return Ok(migrations::pending(&client, migrations).await?);
        }
        let connection = self.pool.connection().await?;
        Ok(migrations::pending(&connection, migrations).await?)
    }

    /// Finds a tenant by slug or id. A name that is one tenant's slug and another's id names neither.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn resolve_tenant(&self, name: &str) -> Result<Option<ResolvedTenant>, DbError> {
        let rows = self.query(RESOLVE_TENANT, &[&name]).await?;
        let [row] = rows.as_slice() else { return Ok(None) };
        Ok(Some(ResolvedTenant {
            id: TenantId::from(row.try_get::<_, Uuid>("id")?),
            slug: row.try_get("slug")?,
            status: TenantStatus::from_column(row.try_get("status")?),
        }))
    }

    /// Which database it is.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn identity(&self) -> Result<DatabaseIdentity, DbError> {
        DatabaseIdentity::read(&self.query_one(IDENTITY, &[]).await?)
    }

    /// Number of dimensions of the embeddings that this database was made for.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn embedding_dimensions(&self) -> Result<usize, DbError> {
        let dimensions: i32 = self.query_one(EMBEDDING_DIMENSIONS, &[]).await?.try_get("dimensions")?;
        usize::try_from(dimensions).map_err(|_| DbError::Other("the embedding column has no dimension".to_owned()))
    }

    /// How far this machine's clock is from the database's, to within the time of a round trip.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn clock_skew(&self) -> Result<Duration, DbError> {
        let theirs = self.clock().await?;
        Ok(jiff::Timestamp::now().duration_since(theirs).unsigned_abs())
    }

    /// The database's clock.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn clock(&self) -> Result<jiff::Timestamp, DbError> {
        Ok(self.query_one(CLOCK, &[]).await?.try_get("now")?)
    }

    /// Closes the calls of all tenants whose server is gone, as interrupted; how many there were.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn reap_calls(&self) -> Result<i32, DbError> {
        Ok(self.query_one(REAP_CALLS, &[]).await?.try_get("reaped")?)
    }

    async fn query(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        let connection = self.pool.connection().await?;
        let asked = async {
            let statement = connection.prepare_cached(sql).await?;
            connection.query(&statement, parameters).await
        };
        match tokio::time::timeout(LONGEST_QUERY, asked).await {
            // Its server is of no use: another connection may find a better one.
            Ok(Err(error @ DbError::Unavailable(_))) => {
                connection.close();
                Err(error)
            }
            Ok(answered) => answered,
            Err(_elapsed) => {
                // An answer may still be on its way: nobody else may take it for his.
                connection.discard();
                Err(DbError::Unavailable("no answer in time".to_owned()))
            }
        }
    }

    async fn query_one(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Row, DbError> {
        self.query(sql, parameters).await?.pop().ok_or_else(|| DbError::Other("an empty answer".to_owned()))
    }
}
