//! Making a backup.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio_postgres::Client;

use super::contents::Contents;
use super::draft::Draft;
use super::dump::Dump;
use super::error::FileContext;
use super::manifest::{self, FORMAT, Server};
use super::{BackupError, Connection, Grant, Manifest, Programs, Setting, Step, file};
use crate::audit::Hash;
use crate::db::admin::DatabaseForm;
use crate::db::{DbError, WholeSnapshot, admin};
use crate::migrations::{self, Migrations};

const EXPORT_SNAPSHOT: &str = include_str!("../../sql/queries/backup/export_snapshot.sql");
const LEAVES: &str = include_str!("../../sql/queries/backup/leaves.sql");
const DATABASE: &str = include_str!("../../sql/queries/backup/database.sql");
const DATABASE_GRANTS: &str = include_str!("../../sql/queries/backup/database_grants.sql");
const SETTINGS: &str = include_str!("../../sql/queries/backup/settings.sql");
const SERVER_SETTINGS: &str = include_str!("../../sql/queries/backup/server_settings.sql");
const ROLES: &str = include_str!("../../sql/queries/backup/roles.sql");

/// Where it goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A file, in the place of one that is there only if that is to be replaced.
    File {
        /// Its name.
        path: PathBuf,
        /// Whether one of that name may go.
        replace: bool,
    },
    /// This program's stdout.
    Stdout,
}

/// What to back up, and how.
#[derive(Debug, Clone)]
pub struct Making {
    /// The database.
    pub connection: Connection,
    /// Where `pg_dump` is.
    pub programs: Programs,
    /// Where the backup goes.
    pub destination: Destination,
    /// As `pg_dump --compress` takes it.
    pub compression: String,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// The file's length.
    pub bytes: u64,
    /// What it says of itself.
    #[serde(flatten)]
    pub manifest: Manifest,
}

/// Makes a backup: dump and checksums of the same snapshot, whatever is written meanwhile.
///
/// # Errors
/// [`BackupError`]; then there is no file.
pub async fn make(making: &Making, tell: &(dyn Fn(Step) + Sync)) -> Result<Made, BackupError> {
    let Making { connection, programs, destination, compression } = making;
    let program = programs.find("pg_dump").await?;
    let client = connection.client().await?;
    let server = admin::server(&client).await?;
    let server_major = server.version / 10_000;
    if program.major != server_major {
        let why = match program.major < server_major {
            true => "an older pg_dump cannot dump a newer server",
            false => "what a newer pg_dump writes this server would not take back",
        };
        return Err(BackupError::refused(format!(
            "this pg_dump is of PostgreSQL {} and the server is {}: {why}. Install the client programs of PostgreSQL {server_major}, or name \
             their folder by --pg-bin",
            program.version, server.version_text
        )));
    }
    // Before a file is begun; what is written down is asked for again in the snapshot.
    schema_version(&client, connection.database()).await?;
    // As this session's own role, which may be shown more than the one that reads the rows.
    let server_settings = pairs(&client, SERVER_SETTINGS).await?;
    let mut draft = match destination {
        Destination::File { path, replace } => Some(Draft::create(path, *replace)?),
        Destination::Stdout => None,
    };
    let snapshot = WholeSnapshot::begin(&client).await?;
    let made_at = Timestamp::now();
    let id: String = one(&snapshot.query(EXPORT_SNAPSHOT, &[]).await?, "id")?;
    let schema_version = schema_version(&client, connection.database()).await?;
    let tables = leaves(&snapshot).await?;
    let dump = Dump {
        program: &program,
        connection,
        snapshot: &id,
        role: snapshot.acts_as_backup().then_some("bailiwick_backup"),
        compression,
        tables: &tables,
    };
    // The dump takes the snapshot over within its first moments; until it has ended the transaction stays in any case.
    let dumped = async {
        match &draft {
            Some(draft) => {
                let file = draft.file.try_clone().doing("write", draft.part())?;
                dump.to_file(file, tell).await.map(|()| None)
            }
            None => dump.to_stdout(tell).await.map(Some),
        }
    };
    let (contents, piped) = tokio::try_join!(Contents::read(&snapshot, tell), dumped)?;
    let database = database(&snapshot, &client, connection.database()).await?;
    let roles = names(&snapshot, ROLES).await?;
    snapshot.end().await?;
    let (dump_bytes, sha256) = match (&draft, piped) {
        (Some(draft), _) => reread(draft, tell).await?,
        (None, piped) => piped.unwrap_or_default(),
    };
    let Contents { tables, tenants, sequences, objects, extensions, audit } = contents;
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        dump: manifest::Dump { bytes: dump_bytes, sha256, pg_dump: program.version.clone() },
        server: Server { version: server.version, version_text: server.version_text, extensions },
        schema_version,
        database,
        roles,
        server_settings,
        audit,
        tenants,
        tables,
        sequences,
        objects,
    };
    tell(Step::Keeping);
    let bytes = dump_bytes
        + match draft.take() {
            Some(draft) => place(draft, &manifest, matches!(destination, Destination::File { replace: true, .. }))?,
            None => print(&manifest).await?,
        };
    Ok(Made { bytes, manifest })
}

/// The last migration of a database that must be ours, and of a version that this program can read.
pub(super) async fn schema_version(client: &Client, database: &str) -> Result<i64, BackupError> {
    let status = migrations::status(client, &Migrations::embedded()?).await?;
    if let Some(unknown) = status.unknown.first() {
        return Err(BackupError::refused(format!(
            "the database {database:?} has migration {:06}, which is of a newer bailiwick than this one: use that one",
            unknown.version
        )));
    }
    if status.dirty {
        return Err(BackupError::refused(format!(
            "the schema of {database:?} is dirty: `bailiwick migrate status` tells more"
        )));
    }
    status
        .current
        .ok_or_else(|| BackupError::refused(format!("the database {database:?} holds no schema of Bailiwick")))
}

async fn leaves(snapshot: &WholeSnapshot<'_>) -> Result<BTreeMap<String, u64>, DbError> {
    let rows = snapshot.query(LEAVES, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get::<_, i64>("bytes")?.unsigned_abs()))).collect()
}

async fn database(snapshot: &WholeSnapshot<'_>, client: &Client, name: &str) -> Result<manifest::Database, DbError> {
    let found = snapshot.query(DATABASE, &[&name]).await?;
    let owner = one(&found, "owner")?;
    let form = found.first().map(DatabaseForm::read).transpose()?;
    let (grants, settings) = surroundings(client).await?;
    Ok(manifest::Database { name: name.to_owned(), owner, form, grants, settings })
}

/// Privileges on the database that a session is in, and what its sessions begin with.
pub(super) async fn surroundings(client: &Client) -> Result<(Vec<Grant>, Vec<Setting>), DbError> {
    let grants = client.query(DATABASE_GRANTS, &[]).await?;
    let grants = grants.iter().map(|row| {
        Ok(Grant {
            grantee: row.try_get("grantee")?,
            privilege: row.try_get("privilege")?,
            is_grantable: row.try_get("is_grantable")?,
        })
    });
    let settings = client.query(SETTINGS, &[]).await?;
    let settings = settings.iter().map(|row| {
        let (role, of_database) = (row.try_get("role")?, row.try_get("of_database")?);
        Ok(Setting { role, of_database, name: row.try_get("name")?, value: row.try_get("value")? })
    });
    Ok((grants.collect::<Result<_, DbError>>()?, settings.collect::<Result<_, DbError>>()?))
}

async fn names(snapshot: &WholeSnapshot<'_>, sql: &'static str) -> Result<Vec<String>, DbError> {
    snapshot.query(sql, &[]).await?.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

async fn pairs(client: &Client, sql: &'static str) -> Result<Vec<(String, String)>, DbError> {
    client.query(sql, &[]).await?.iter().map(|row| Ok((row.try_get("name")?, row.try_get("value")?))).collect()
}

fn one(rows: &[tokio_postgres::Row], name: &str) -> Result<String, DbError> {
    rows.first().map_or_else(|| Err(DbError::Other("no row".to_owned())), |row| Ok(row.try_get(name)?))
}

/// What stands in the file by now.
async fn reread(draft: &Draft, tell: &(dyn Fn(Step) + Sync)) -> Result<(u64, Hash), BackupError> {
    let part = draft.part();
    let mut file = draft.file.try_clone().doing("read", part)?;
    let of = file.seek(SeekFrom::End(0)).doing("read", part)?;
    file.rewind().doing("read", part)?;
    let mut file = tokio::fs::File::from_std(file);
    file::checksum(&mut file, of, |bytes| tell(Step::Checking { bytes, of })).await.doing("read", part)
}

fn place(draft: Draft, manifest: &Manifest, replace: bool) -> Result<u64, BackupError> {
    let part: &Path = draft.part();
    let mut file = draft.file.try_clone().doing("write", part)?;
    file.seek(SeekFrom::End(0)).doing("write", part)?;
    let mut file = std::io::BufWriter::new(file);
    let bytes = file::append(&mut file, manifest).doing("write", part)?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error).doing("write", part)?;
    draft.place(replace)?;
    Ok(bytes)
}

async fn print(manifest: &Manifest) -> Result<u64, BackupError> {
    let failed = |error: std::io::Error| BackupError::Refused(format!("stdout takes no more: {error}"));
    let mut text = Vec::new();
    let bytes = file::append(&mut text, manifest).map_err(failed)?;
    let mut out = tokio::io::stdout();
    out.write_all(&text).await.map_err(failed)?;
    out.flush().await.map_err(failed)?;
    Ok(bytes)
}
