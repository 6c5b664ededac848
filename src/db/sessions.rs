//! Whether what a session holds is still there with its next statement.

use std::time::Duration;

use tokio_postgres::Client;

use super::{DbError, Endpoint, admin};

/// What becomes of a session between transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// It stays the client's own.
    Kept,
    /// A pooler lends it to whoever has a transaction: locks, LISTEN and settings of a session are lost, or another's.
    Lent,
}

/// How often the server's process is asked for, for a pooler that takes its connections in turns.
const TURNS: usize = 3;
/// Longest wait for one answer: behind a pooler of one connection whoever holds it keeps the others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Finds out by trying: is the server's process the same at each statement, and while another client holds a transaction?
///
/// # Errors
/// [`DbError::Unavailable`] if the database cannot be reached.
pub async fn sessions(endpoint: &Endpoint) -> Result<Sessions, DbError> {
    let client = admin::connect(endpoint).await?;
    let own = process(&client).await?;
    for _ in 1..TURNS {
        if process(&client).await? != own {
            return Ok(Sessions::Lent);
        }
    }
    // A pooler that lends what was used last lends this client's.
    let holder = admin::connect(endpoint).await?;
    let held = hold(&holder).await?;
    if held == own {
        return Ok(Sessions::Lent);
    }
    let now = match tokio::time::timeout(PATIENCE, process(&client)).await {
        Ok(now) => now?,
        // It waits for a connection, and whoever has one of its own need not.
        Err(_elapsed) => return Ok(Sessions::Lent),
    };
    Ok(if now == own { Sessions::Kept } else { Sessions::Lent })
}

/// Whether a session of one endpoint's and a transaction of another's are in the same database: a lock tells.
///
/// # Errors
/// [`DbError::Unavailable`] if one of them cannot be reached.
pub async fn is_same_database(one: &Endpoint, other: &Endpoint) -> Result<bool, DbError> {
    let (holder, asker) = (admin::connect(one).await?, admin::connect(other).await?);
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // No parameters, for they would take a prepared statement.
    let key = i64::from_ne_bytes((high ^ low).to_ne_bytes());
    value(&holder, &format!("SELECT pg_advisory_lock({key})")).await?;
    let is_free = value(&asker, &format!("SELECT pg_try_advisory_xact_lock({key})")).await?;
    Ok(is_free.as_deref() == Some("f"))
}

async fn process(client: &Client) -> Result<Option<String>, DbError> {
    value(client, "SELECT pg_backend_pid()").await
}

async fn hold(client: &Client) -> Result<Option<String>, DbError> {
    value(client, "BEGIN").await?;
    process(client).await
}

/// The one value of a statement without parameters, which nothing prepares.
#[expect(clippy::disallowed_methods, reason = "looks at the session itself, and reads no table")]
async fn value(client: &Client, sql: &str) -> Result<Option<String>, DbError> {
    use tokio_postgres::SimpleQueryMessage;
    let messages = client.simple_query(sql).await?;
    Ok(messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
