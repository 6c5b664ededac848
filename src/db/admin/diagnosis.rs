//! What `bailiwick doctor` asks.

use std::time::SystemTime;

use tokio_postgres::{Client, Row};

use crate::db::DbError;

const SERVER: &str = include_str!("../../../sql/queries/diagnosis/server.sql");
const HAS_SLOW_STATEMENTS: &str = include_str!("../../../sql/queries/diagnosis/has_slow_statements.sql");
const SLOW_STATEMENTS: &str = include_str!("../../../sql/queries/diagnosis/slow_statements.sql");

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct Server {
    /// `server_version_num`.
    pub version: i32,
    /// For people.
    pub version_text: String,
    /// By its clock.
    pub now: SystemTime,
}

/// Lets this session count every tenant's rows, as the schema's owner may with the administrator's setting.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "the administrator's own session")]
pub async fn see_all_tenants(client: &Client) -> Result<(), DbError> {
    Ok(client.batch_execute("SET app.current_user_role = 'admin'").await?)
}

/// Asks a server for its version and its time.
///
/// # Errors
/// Any [`DbError`].
pub async fn server(client: &Client) -> Result<Server, DbError> {
    let row = client.query_one(SERVER, &[]).await?;
    let (version, version_text) = (row.try_get("version")?, row.try_get("version_text")?);
    Ok(Server { version, version_text, now: row.try_get("now")? })
}

/// Subject and detail of each row that a check returns. A transaction that the caller has begun stays as it is; without one
/// the check has its own.
///
/// # Errors
/// Any [`DbError`].
pub async fn diagnose(client: &Client, sql: &'static str) -> Result<Vec<(String, String)>, DbError> {
    client.query(sql, &[]).await?.iter().map(told).collect()
}

/// Lets the server count how long statements take, where it can.
///
/// # Errors
/// Any [`DbError`]: the extension is not installed, or not loaded.
#[expect(clippy::disallowed_methods, reason = "no tenant's rows")]
pub async fn count_statements(client: &Client) -> Result<(), DbError> {
    Ok(client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?)
}

/// Statements that take long on average; `None` without the extension that counts them.
///
/// # Errors
/// Any [`DbError`].
pub async fn slow_statements(client: &Client) -> Result<Option<Vec<(String, String)>>, DbError> {
    if !client.query_one(HAS_SLOW_STATEMENTS, &[]).await?.try_get::<_, bool>("is_there")? {
        return Ok(None);
    }
    client.query(SLOW_STATEMENTS, &[]).await?.iter().map(told).collect::<Result<_, _>>().map(Some)
}

fn told(row: &Row) -> Result<(String, String), DbError> {
    Ok((row.try_get("subject")?, row.try_get("detail")?))
}
