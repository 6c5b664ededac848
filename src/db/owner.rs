//! Maintenance's and reports' way to a tenant's rows: the schema's owner, bound by row-level security to one tenant at a time.

use tokio_postgres::{Client, Row, RowStream};

use super::{DbError, Parameter, left_open};
use crate::identity::TenantId;

/// A transaction of the schema's owner in one tenant's context, on an administrator's connection.
pub struct OwnerTransaction<'a> {
    client: &'a Client,
    tenant_id: TenantId,
}

impl<'a> OwnerTransaction<'a> {
    /// Begins it. The tenant's policy holds for the owner too, so that a slip in a statement stays within the tenant.
    ///
    /// # Errors
    /// Any [`DbError`].
    #[expect(clippy::disallowed_methods, reason = "maintenance's own transaction; a tenant's id is no free text")]
    pub async fn begin(client: &'a Client, tenant_id: TenantId) -> Result<Self, DbError> {
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL ROLE bailiwick_owner; SET LOCAL app.current_tenant_id = '{tenant_id}'; \
             SET LOCAL statement_timeout = 0; SET LOCAL jit = off"
        );
        // What a dropped predecessor left open ends first.
        left_open::end(client).await?;
        client.batch_execute(&begin).await?;
        Ok(Self { client, tenant_id })
    }

    /// Begins one that only reads, as the role of the functions that act inside a tenant's context: the owner may not ask
    /// until when the trail is sealed, and a reader needs no more.
    ///
    /// # Errors
    /// Any [`DbError`].
    #[expect(clippy::disallowed_methods, reason = "an administrator's own transaction; a tenant's id is no free text")]
    pub async fn begin_reading(client: &'a Client, tenant_id: TenantId) -> Result<Self, DbError> {
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL ROLE bailiwick_definer; SET LOCAL app.current_tenant_id = '{tenant_id}'; \
             SET LOCAL statement_timeout = 0; SET LOCAL jit = off"
        );
        left_open::end(client).await?;
        client.batch_execute(&begin).await?;
        Ok(Self { client, tenant_id })
    }

    /// Whose rows these are.
    #[must_use]
    pub fn tenant_id(&self) -> TenantId {
        self.tenant_id
    }

    /// Runs a statement of ours.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        Ok(self.client.query(sql, parameters).await?)
    }

    /// Runs a statement whose rows come as they are taken, so that no number of them fills the memory.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn stream(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<RowStream, DbError> {
        Ok(self.client.query_raw(sql, parameters.iter().copied()).await?)
    }

    /// Makes all statements of the transaction, of which none may have run yet, see the same moment.
    ///
    /// # Errors
    /// Any [`DbError`].
    #[expect(clippy::disallowed_methods, reason = "maintenance's own transaction")]
    pub async fn read_one_snapshot(&self) -> Result<(), DbError> {
        Ok(self.client.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
    }

    /// Remembers this point of the transaction.
    ///
    /// # Errors
    /// Any [`DbError`].
    #[expect(clippy::disallowed_methods, reason = "maintenance's own transaction")]
    pub async fn savepoint(&self) -> Result<(), DbError> {
        Ok(self.client.batch_execute("SAVEPOINT here").await?)
    }

    /// Goes back to the point remembered, which gives back the locks taken since.
    ///
    /// # Errors
    /// Any [`DbError`].
    #[expect(clippy::disallowed_methods, reason = "maintenance's own transaction")]
    pub async fn back_to_savepoint(&self) -> Result<(), DbError> {
        Ok(self.client.batch_execute("ROLLBACK TO SAVEPOINT here").await?)
    }

    /// Commits if the work succeeded, and rolls back if not.
    ///
    /// # Errors
    /// The work's, or that of the end.
    #[expect(clippy::disallowed_methods, reason = "maintenance's own transaction")]
    pub async fn end<T>(self, work: Result<T, DbError>) -> Result<T, DbError> {
        match work {
            Ok(value) => {
                self.client.batch_execute("COMMIT").await?;
                Ok(value)
            }
            Err(error) => {
                let _ = self.client.batch_execute("ROLLBACK").await;
                Err(error)
            }
        }
    }
}
