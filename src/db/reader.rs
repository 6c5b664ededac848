use tokio_postgres::Row;

use super::{DbError, OwnerTransaction, Parameter, TenantTransaction};

/// A transaction in one tenant's context, whoever's it is: a call's or an administrator's.
pub trait TenantReader: Sync {
    /// Runs a statement of ours and returns its rows.
    ///
    /// # Errors
    /// Any [`DbError`].
    fn rows(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;
}

impl TenantReader for TenantTransaction {
    async fn rows(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        self.query(sql, parameters).await
    }
}

impl TenantReader for OwnerTransaction<'_> {
    async fn rows(&self, sql: &'static str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, DbError> {
        self.query(sql, parameters).await
    }
}
