//! The operator's way to what is of all tenants together: the audit trail and its seals.

use std::time::Duration;

use tokio_postgres::{Client, Row, RowStream};

use super::{DbError, Parameter, left_open};

/// Whoever was kept waiting by a try goes on meanwhile.
const BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// A transaction of the schema's owner with the administrator's setting, which opens every tenant's rows to it.
pub struct OperatorTransaction<'a> {
    client: &'a Client,
}

impl<'a> OperatorTransaction<'a> {
    /// Begins it: each statement sees what is committed when it begins.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn begin(client: &'a Client) -> Result<Self, DbError> {
        Self::begin_with(client, "BEGIN ISOLATION LEVEL READ COMMITTED").await
    }

    /// Begins one that changes nothing, and whose statements all see the same moment.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn begin_snapshot(client: &'a Client) -> Result<Self, DbError> {
        Self::begin_with(client, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    #[expect(clippy::disallowed_methods, reason = "the operator's own transaction")]
    async fn begin_with(client: &'a Client, begin: &str) -> Result<Self, DbError> {
        // What a dropped predecessor left open ends first.
        left_open::end(client).await?;
        // A head is told to the world once its seal is committed, so it must not be lost in a crash after that.
        let context = "SET LOCAL synchronous_commit = on; SET LOCAL ROLE bailiwick_owner; SET LOCAL app.current_user_role = 'admin'; \
                       SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '3s'; SET LOCAL jit = off; SET LOCAL idle_in_transaction_session_timeout = '60s'";
        client.batch_execute(&format!("{begin}; {context}")).await?;
        Ok(Self { client })
    }

    /// Runs a statement of ours.
    ///
    /// # Errors
    /// Any [`DbError`]; a lock that is not had within three seconds is [`DbError::TimedOut`].
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

    /// Tries a statement that may not get a lock at once: again and again, with pauses in which others go on. What was done in the
    /// transaction before it stays done.
    ///
    /// # Errors
    /// [`DbError::TimedOut`] if there was no lock to be had each time, and any other at once.
    #[expect(clippy::disallowed_methods, reason = "the operator's own transaction")]
    pub async fn query_patiently(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        tries: u32,
    ) -> Result<Vec<Row>, DbError> {
        for tried in 1.. {
            self.client.batch_execute("SAVEPOINT here").await?;
            match self.query(sql, parameters).await {
                Err(DbError::TimedOut(_)) if tried < tries => {
                    self.client.batch_execute("ROLLBACK TO SAVEPOINT here").await?;
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                done => return done,
            }
        }
        Ok(Vec::new())
    }

    /// Commits if the work succeeded, and rolls back if not.
    ///
    /// # Errors
    /// The work's, or that of the end.
    #[expect(clippy::disallowed_methods, reason = "the operator's own transaction")]
    pub async fn end<T, E: From<DbError>>(self, work: Result<T, E>) -> Result<T, E> {
        match work {
            Ok(value) => {
                self.client.batch_execute("COMMIT").await.map_err(DbError::from)?;
                Ok(value)
            }
            Err(error) => {
                let _ = self.client.batch_execute("ROLLBACK").await;
                Err(error)
            }
        }
    }
}
