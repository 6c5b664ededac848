//! What `bailiwick doctor` asks.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use crate::db::DbError;

const SERVER: &str = include_str!("../../../sql/queries/diagnosis/server.sql");
const SCHEMA: &str = include_str!("../../../sql/queries/diagnosis/schema.sql");
const SEES_STATISTICS: &str = include_str!("../../../sql/queries/diagnosis/sees_statistics.sql");
const APPLICATION_SESSION: &str = include_str!("../../../sql/queries/diagnosis/application_session.sql");
const FIND_STATEMENT_STATISTICS: &str = include_str!("../../../sql/queries/diagnosis/find_statement_statistics.sql");
const EMBEDDING_DIMENSIONS: &str = include_str!("../../../sql/queries/system/embedding_dimensions.sql");
const ARCHIVE: &str = include_str!("../../../sql/queries/diagnosis/archive.sql");
const BASE_BACKUP: &str = include_str!("../../../sql/queries/diagnosis/base_backup.sql");
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

/// An object of the schema in a few words: what `sql/objects.txt` has a line of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaObject {
    /// `table`, `index`, `grant` and others.
    pub kind: String,
    /// Its name, of one kind only one's; of a grant whom it is given to, and what.
    pub name: String,
    /// What else there is to say of it.
    pub definition: String,
}

/// What a session of the application's stands on.
#[derive(Debug, Clone)]
pub struct ApplicationSession {
    /// Who it is.
    pub role_name: String,
    /// Transactions begin read-only.
    pub is_read_only: bool,
    /// Where names without a schema are looked for.
    pub search_path: String,
    /// And whether the tables are found there.
    pub finds_tables: bool,
}

/// Lets this session count every tenant's rows, as the schema's owner may with the administrator's setting.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "the administrator's own session")]
pub async fn see_all_tenants(client: &Client) -> Result<(), DbError> {
    Ok(client.batch_execute("SET app.current_user_role = 'admin'").await?)
}

/// Readies this session for checks: it sees every tenant's rows, finds the program's own tables whatever its role is set to, and waits
/// neither for a lock nor for a statement for long.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "the administrator's own session")]
pub async fn begin_checks(client: &Client) -> Result<(), DbError> {
    see_all_tenants(client).await?;
    let bounds = "SET search_path = pg_catalog, public; SET lock_timeout = '2s'; SET statement_timeout = '60s'";
    Ok(client.batch_execute(bounds).await?)
}

/// From now on statements may take their time, as those that read every document do; for a lock they wait half a minute.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "the administrator's own session")]
pub async fn end_checks(client: &Client) -> Result<(), DbError> {
    Ok(client.batch_execute("SET lock_timeout = '30s'; SET statement_timeout = 0").await?)
}

/// Every object of the schema, by kind and name. Names are printed by the search path of [`begin_checks`].
///
/// # Errors
/// Any [`DbError`].
pub async fn schema_objects(client: &Client) -> Result<Vec<SchemaObject>, DbError> {
    let object = |row: &Row| {
        let (kind, name) = (row.try_get("kind")?, row.try_get("name")?);
        Ok(SchemaObject { kind, name, definition: row.try_get("definition")? })
    };
    client.query(SCHEMA, &[]).await?.iter().map(object).collect()
}

/// Whether this role is told what others' sessions and statements do.
///
/// # Errors
/// Any [`DbError`].
pub async fn sees_statistics(client: &Client) -> Result<bool, DbError> {
    Ok(client.query_one(SEES_STATISTICS, &[]).await?.try_get("sees_all")?)
}

/// What a session stands on that was opened as the application. Nothing is prepared, for it may be a pooler's.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "asks a session of itself, and reads no table")]
pub async fn application_session(client: &Client) -> Result<ApplicationSession, DbError> {
    let messages = client.simple_query(APPLICATION_SESSION).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let column = |name| row.and_then(|row| row.get(name)).unwrap_or_default();
    Ok(ApplicationSession {
        role_name: column("role_name").to_owned(),
        is_read_only: column("is_read_only") == "on",
        search_path: column("search_path").to_owned(),
        finds_tables: column("finds_tables") == "t",
    })
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

/// Of what dimensions the vectors are that the database was made for.
///
/// # Errors
/// Any [`DbError`].
pub async fn embedding_dimensions(client: &Client) -> Result<usize, DbError> {
    let dimensions: i32 = client.query_one(EMBEDDING_DIMENSIONS, &[]).await?.try_get("dimensions")?;
    usize::try_from(dimensions).map_err(|_| DbError::Other("the embedding column has no dimension".to_owned()))
}

/// How a server archives its write-ahead log.
#[derive(Debug, Clone, Serialize)]
pub struct Archive {
    /// `off`, `on` or `always`.
    pub archive_mode: String,
    /// `minimal`, `replica` or `logical`.
    pub wal_level: String,
    /// What is run for each file; empty without one, or where a library does it.
    pub archive_command: String,
    /// What does it instead.
    pub archive_library: String,
    /// After how long a file that is not full is archived all the same; 0 for never.
    pub archive_timeout_s: i32,
    /// The last file that was archived, and when.
    pub last_archived_wal: Option<String>,
    /// When.
    pub last_archived_at: Option<Timestamp>,
    /// The last file that could not be archived.
    pub last_failed_wal: Option<String>,
    /// When.
    pub last_failed_at: Option<Timestamp>,
    /// Written and not archived, as far as that is known.
    pub unarchived_bytes: Option<i64>,
    /// When the last base backup that left its mark with the log was made.
    pub base_backup_at: Option<Timestamp>,
    /// Whether this role may look for base backups.
    pub sees_base_backups: bool,
}

/// Asks how a server archives.
///
/// # Errors
/// Any [`DbError`].
pub async fn archive(client: &Client) -> Result<Archive, DbError> {
    let row = client.query_one(ARCHIVE, &[]).await?;
    let sees_base_backups = row.try_get("sees_base_backups")?;
    // Asked for apart: whoever may not run the function gets an error before the first row.
    let base_backup_at = match sees_base_backups {
        true => client.query_one(BASE_BACKUP, &[]).await?.try_get("base_backup_at")?,
        false => None,
    };
    Ok(Archive {
        archive_mode: row.try_get("archive_mode")?,
        wal_level: row.try_get("wal_level")?,
        archive_command: row.try_get("archive_command")?,
        archive_library: row.try_get("archive_library")?,
        archive_timeout_s: row.try_get("archive_timeout_s")?,
        last_archived_wal: row.try_get("last_archived_wal")?,
        last_archived_at: row.try_get("last_archived_at")?,
        last_failed_wal: row.try_get("last_failed_wal")?,
        last_failed_at: row.try_get("last_failed_at")?,
        unarchived_bytes: row.try_get("unarchived_bytes")?,
        base_backup_at,
        sees_base_backups,
    })
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
/// Any [`DbError`]: it is installed and not loaded, for one.
#[expect(clippy::disallowed_methods, reason = "the administrator's own session")]
pub async fn slow_statements(client: &Client) -> Result<Option<Vec<(String, String)>>, DbError> {
    if client.query_opt(FIND_STATEMENT_STATISTICS, &[]).await?.is_none() {
        return Ok(None);
    }
    let rows = client.query(SLOW_STATEMENTS, &[]).await;
    // Within a transaction that has failed it cannot be set, and need not be.
    let _ = client.batch_execute("SET search_path = pg_catalog, public").await;
    rows?.iter().map(told).collect::<Result<_, _>>().map(Some)
}

fn told(row: &Row) -> Result<(String, String), DbError> {
    Ok((row.try_get("subject")?, row.try_get("detail")?))
}
