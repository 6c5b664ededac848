use tokio_postgres::{Client, Row};

use super::DbError;

pub(super) const IDENTITY: &str = include_str!("../../sql/queries/system/identity.sql");

/// Which database it is, by whatever way it is reached: after a failover the new primary is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseIdentity {
    /// Of the cluster and its physical copies.
    pub system_identifier: i64,
    /// The name there.
    pub database: String,
}

impl DatabaseIdentity {
    /// As the server says that this connection leads to.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn of(client: &Client) -> Result<Self, DbError> {
        Self::read(&client.query_one(IDENTITY, &[]).await?)
    }

    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self { system_identifier: row.try_get("system_identifier")?, database: row.try_get("database")? })
    }
}
