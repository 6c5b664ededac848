//! Whether what a session holds is still there with its next statement.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
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

/// How many sessions are compared. A pooler of several processes (so_reuseport, or several behind a balancer) is known by two that
/// came to the same one, and so many come to fewer processes than they are.
const SESSIONS: usize = 6;
/// How often the server's process is asked for, for a pooler that takes its connections in turns.
const TURNS: usize = 3;
/// Longest wait for one answer: behind a pooler of one connection whoever holds it keeps the others waiting.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often they are compared where somebody had no answer in time.
const TRIES: usize = 2;
/// Longest wait for the first of them where nobody may be kept waiting: one that is frozen is known by it.
const SOON: Duration = Duration::from_secs(8);
/// And for the others, of a server that answers.
const LONGEST_JUDGEMENT: Duration = Duration::from_secs(20);

/// What one comparison came to.
enum Compared {
    Kept,
    Lent,
    /// Somebody had no answer in time: behind a pooler he may wait for a connection, and any server may stand still for a moment.
    Stalled,
}

/// Finds out by trying: has each session a process of the server's to itself, also while others hold a transaction?
///
/// # Errors
/// [`DbError::Unavailable`] if the database cannot be reached.
pub async fn sessions(endpoint: &Endpoint) -> Result<Sessions, DbError> {
    let first = First::open(endpoint).await?;
    judge(endpoint, &first).await
}

/// The same of a server that may be away or frozen, for those who must go on without it.
///
/// # Errors
/// [`DbError::TimedOut`] if it does not answer in time, and those of [`sessions`].
pub(crate) async fn sessions_soon(endpoint: &Endpoint) -> Result<Sessions, DbError> {
    let late = |_| DbError::TimedOut("it accepts connections and does not answer".to_owned());
    let first = timeout(SOON, First::open(endpoint)).await.map_err(late)??;
    timeout(LONGEST_JUDGEMENT, judge(endpoint, &first)).await.map_err(late)?
}

/// A session and its process of the server's.
struct First {
    client: Client,
    own: Option<String>,
}

impl First {
    async fn open(endpoint: &Endpoint) -> Result<Self, DbError> {
        let client = admin::connect(endpoint).await?;
        let own = process(&client).await?;
        Ok(Self { client, own })
    }
}

/// One stall is believed to be a pooler's only if it comes again.
async fn judge(endpoint: &Endpoint, first: &First) -> Result<Sessions, DbError> {
    for _ in 0..TRIES {
        match compare(endpoint, first).await? {
            Compared::Kept => return Ok(Sessions::Kept),
            Compared::Lent => return Ok(Sessions::Lent),
            Compared::Stalled => tracing::debug!("a session had no answer in time"),
        }
    }
    Ok(Sessions::Lent)
}

async fn compare(endpoint: &Endpoint, First { client: first, own }: &First) -> Result<Compared, DbError> {
    for _ in 1..TURNS {
        let Ok(now) = timeout(PATIENCE, process(first)).await else { return Ok(Compared::Stalled) };
        if now? != *own {
            return Ok(Compared::Lent);
        }
    }
    let connecting = join_all((1..SESSIONS).map(|_| admin::connect(endpoint))).await;
    let mut others = Vec::new();
    let mut known = HashSet::from([own.clone()]);
    for other in connecting.into_iter().flatten() {
        // Where there is no room for all of them, those that got in have to do.
        let Ok(Ok(process)) = timeout(PATIENCE, process(&other)).await else { break };
        if !known.insert(process.clone()) {
            return Ok(Compared::Lent);
        }
        others.push((other, process));
    }
    // A pooler that takes its connections in turns gives another to whoever keeps it, and the first one's to somebody else.
    let held = join_all(others.iter().map(|(other, _)| timeout(PATIENCE, hold(other)))).await;
    let mut has_stalled = false;
    for (held, (_, process)) in held.into_iter().zip(&others) {
        // Who waits for a connection has none of his own.
        let Ok(held) = held else {
            has_stalled = true;
            continue;
        };
        if held? != *process {
            return Ok(Compared::Lent);
        }
    }
    let Ok(now) = timeout(PATIENCE, process(first)).await else { return Ok(Compared::Stalled) };
    Ok(match now? == *own {
        false => Compared::Lent,
        true if has_stalled => Compared::Stalled,
        true => Compared::Kept,
    })
}

/// Whether a session of one endpoint's and a transaction of another's are in the same database: a lock tells.
///
/// # Errors
/// [`DbError::Unavailable`] if one of them cannot be reached.
pub async fn is_same_database(one: &Endpoint, other: &Endpoint) -> Result<bool, DbError> {
    let holder = admin::connect(one).await?;
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    // No parameters, for they would take a prepared statement.
    let key = i64::from_ne_bytes((high ^ low).to_ne_bytes());
    value(&holder, &format!("SELECT pg_advisory_lock({key})")).await?;
    is_locked(other, key).await
}

/// Whether somebody holds that advisory lock in the database that an endpoint leads to, whatever session it gets.
pub(super) async fn is_locked(endpoint: &Endpoint, key: i64) -> Result<bool, DbError> {
    let asker = admin::connect(endpoint).await?;
    let is_free = value(&asker, &format!("SELECT pg_try_advisory_xact_lock({key})")).await?;
    Ok(is_free.as_deref() == Some("f"))
}

/// Which process it is, and of which server: behind a balancer of several two may have the same number.
async fn process(client: &Client) -> Result<Option<String>, DbError> {
    value(client, "SELECT pg_backend_pid() || ' of ' || pg_postmaster_start_time()").await
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
