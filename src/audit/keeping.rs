use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use super::error::FileContext;
use super::{AuditError, HeadsFile, KnownHead, SealKey, TrustedKeys, key};
use crate::configuration::AuditArguments;
use crate::db::{DbError, OperatorTransaction};

const DATABASE: &str = include_str!("../../sql/queries/audit/database.sql");

/// What is kept outside of the database: the key that signs, and the file of heads.
#[derive(Clone, Default)]
pub struct Keeping {
    /// Signs each head; without it seals are not signed.
    pub key: Option<SealKey>,
    /// Gets each head; without it none is kept.
    pub heads: Option<HeadsFile>,
}

impl Keeping {
    /// As configured. On the program's own PostgreSQL, in `data_dir`, both have a place there, and a key is made at
    /// first use.
    ///
    /// # Errors
    /// A key that is configured and cannot be read, or one of our own that cannot be made.
    pub fn open(arguments: &AuditArguments, data_dir: Option<&Path>) -> Result<Self, AuditError> {
        let key = match (&arguments.audit_key, data_dir) {
            (Some(path), _) => Some(SealKey::load(path)?),
            (None, Some(data_dir)) => own(data_dir)?,
            (None, None) => None,
        };
        Ok(Self { key, heads: heads_file(arguments, data_dir) })
    }
}

/// Our own key, made at first use. Where heads were kept already it was made before and is gone: another would make a sound
/// trail look forged, so there is none then.
fn own(data_dir: &Path) -> Result<Option<SealKey>, AuditError> {
    let (key, heads) = (own_key(data_dir), data_dir.join("audit").join("heads.jsonl"));
    if !key.exists() && std::fs::metadata(&heads).is_ok_and(|file| file.len() > 0) {
        tracing::error!(
            key = %key.display(), heads = %heads.display(),
            "the key that signed the audit trail is gone: restore it, or move the file of heads away to begin with a new one; until then nothing is sealed"
        );
        return Ok(None);
    }
    SealKey::load_or_create(&key).map(Some)
}

/// The keys to believe when the chain is checked: the configured one's public half, or our own's, those in the folder of keys that signed
/// before, and those named.
///
/// # Errors
/// A file that cannot be read or holds no key.
pub fn trusted_keys(
    arguments: &AuditArguments,
    data_dir: Option<&Path>,
    named: &[PathBuf],
) -> Result<TrustedKeys, AuditError> {
    let mut keys = TrustedKeys::default();
    match (&arguments.audit_key, data_dir.map(own_key)) {
        (Some(path), _) => keys.add(path)?,
        (None, Some(path)) if path.exists() => keys.add(&path)?,
        // The signing key may be kept from those who check.
        (None, Some(path)) if key::public_path(&path).exists() => keys.add(&key::public_path(&path))?,
        _ => {}
    }
    let before = match (&arguments.audit_trusted_keys, data_dir.map(|dir| dir.join("audit").join("trusted"))) {
        (Some(folder), _) => pem_files(folder)?,
        (None, Some(folder)) if folder.exists() => pem_files(&folder)?,
        _ => Vec::new(),
    };
    for path in before.iter().chain(named) {
        keys.add(path)?;
    }
    Ok(keys)
}

fn pem_files(folder: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).doing("read", folder)? {
        let path = entry.doing("read", folder)?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The heads that were kept of the database that the client is connected to.
///
/// # Errors
/// A file that cannot be read, and any [`DbError`].
pub async fn known_heads(
    client: &Client,
    arguments: &AuditArguments,
    data_dir: Option<&Path>,
) -> Result<Vec<KnownHead>, AuditError> {
    let transaction = OperatorTransaction::begin_snapshot(client).await?;
    let name = transaction.query(DATABASE, &[]).await;
    let name = transaction.end(name).await?.first().map(|row| row.try_get::<_, String>("name")).transpose();
    kept_heads(&name.map_err(DbError::from)?.unwrap_or_default(), arguments, data_dir)
}

/// The heads that were kept of the database of that name.
///
/// # Errors
/// A file that cannot be read.
pub fn kept_heads(
    database: &str,
    arguments: &AuditArguments,
    data_dir: Option<&Path>,
) -> Result<Vec<KnownHead>, AuditError> {
    heads_file(arguments, data_dir).map_or_else(|| Ok(Vec::new()), |file| file.read(database))
}

/// Takes the heads of seals that a restored database no longer has out of the file, lest nothing be sealed any more
/// (see `foothold`); they stay in a copy, whose name is returned if there were any.
///
/// # Errors
/// A file that cannot be read or written.
pub fn set_heads_aside(
    database: &str,
    after: Option<i64>,
    arguments: &AuditArguments,
    data_dir: Option<&Path>,
) -> Result<Option<PathBuf>, AuditError> {
    heads_file(arguments, data_dir).map_or(Ok(None), |file| file.set_aside(database, after))
}

fn own_key(data_dir: &Path) -> PathBuf {
    data_dir.join("audit").join("signing-key.pem")
}

fn heads_file(arguments: &AuditArguments, data_dir: Option<&Path>) -> Option<HeadsFile> {
    let own = || data_dir.map(|dir| dir.join("audit").join("heads.jsonl"));
    arguments.audit_heads.clone().or_else(own).map(HeadsFile::new)
}
