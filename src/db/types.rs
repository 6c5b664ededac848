//! Types of statements' parameters, for a pooler that keeps no prepared statements.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::DbError;
use super::endpoint::Endpoint;

/// Longest wait for the server's word.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the server says of each statement's parameters, asked once on a connection that is no pooler's.
pub(super) struct Types {
    endpoint: Endpoint,
    known: RwLock<HashMap<&'static str, Arc<[Type]>>>,
    client: Mutex<Option<Client>>,
}

impl Types {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, known: RwLock::default(), client: Mutex::default() }
    }

    /// The types of a statement's parameters, in their order.
    pub(super) async fn of(&self, sql: &'static str) -> Result<Arc<[Type]>, DbError> {
        if let Some(types) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(sql) {
            return Ok(Arc::clone(types));
        }
        let types = self.ask(sql).await?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(sql, Arc::clone(&types));
        Ok(types)
    }

    async fn ask(&self, sql: &'static str) -> Result<Arc<[Type]>, DbError> {
        let mut client = self.client.lock().await;
        let open = match client.take().filter(|client| !client.is_closed()) {
            Some(open) => open,
            None => {
                let (open, connection) = self.endpoint.connect("bailiwick-types", PATIENCE).await?;
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "the connection for types ended");
                    }
                });
                open
            }
        };
        // One that does not answer is not kept.
        let prepared = tokio::time::timeout(PATIENCE, open.prepare(sql)).await;
        let statement = prepared.map_err(|_| DbError::Unavailable("no answer in time".to_owned()))??;
        *client = Some(open);
        Ok(statement.params().into())
    }
}
