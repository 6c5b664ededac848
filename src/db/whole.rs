//! A backup's way to everything: all tenants' rows, at one moment.

use tokio_postgres::{Client, Row};

use super::{DbError, Parameter, left_open};

const READER: &str = include_str!("../../sql/queries/backup/reader.sql");
const WHOLE_TIME: &str = include_str!("../../sql/queries/backup/whole_time.sql");

/// A transaction that changes nothing, that policies do not bind, and whose statements all see the same moment.
pub struct WholeSnapshot<'a> {
    client: &'a Client,
    acts_as_backup: bool,
}

impl<'a> WholeSnapshot<'a> {
    /// Begins it: as `bailiwick_backup` where this session may act as that role, else as who it is.
    ///
    /// # Errors
    /// [`DbError::Forbidden`] if neither reads past row-level security, and any other.
    #[expect(clippy::disallowed_methods, reason = "a backup's own transaction")]
    pub async fn begin(client: &'a Client) -> Result<Self, DbError> {
        left_open::end(client).await?;
        let row = client.query_one(READER, &[]).await?;
        let acts_as_backup: bool = row.try_get("acts_as_backup")?;
        if !acts_as_backup && !row.try_get::<_, bool>("bypasses")? {
            return Err(DbError::Forbidden(
                "a backup needs a role that reads past row-level security: a superuser, or one with BYPASSRLS such as bailiwick_backup \
                 (--backup-database-url)"
                    .to_owned(),
            ));
        }
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        if acts_as_backup {
            client.batch_execute("SET LOCAL ROLE bailiwick_backup").await?;
        }
        // A row that a policy would hide is an error, and not missing. Definitions are printed by the search path.
        let context = "SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; \
                       SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL search_path = pg_catalog, public; SET LOCAL jit = off";
        client.batch_execute(context).await?;
        client.query(WHOLE_TIME, &[]).await?;
        Ok(Self { client, acts_as_backup })
    }

    /// Whether it acts as `bailiwick_backup`.
    #[must_use]
    pub fn acts_as_backup(&self) -> bool {
        self.acts_as_backup
    }

    /// Runs a statement of ours.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        Ok(self.client.query(sql, parameters).await?)
    }

    /// Ends it: there is nothing to undo.
    ///
    /// # Errors
    /// Any [`DbError`].
    #[expect(clippy::disallowed_methods, reason = "a backup's own transaction")]
    pub async fn end(self) -> Result<(), DbError> {
        Ok(self.client.batch_execute("COMMIT").await?)
    }
}
