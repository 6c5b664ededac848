//! One tenant out of a backup, beside all others.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Client;

use super::contents::Contents;
use super::fill::Filling;
use super::making::schema_version;
use super::passage::Passage;
use super::restore::{Restore, is_known, may_restore};
use super::scratch::Scratch;
use super::{BackupError, BackupFile, Connection, Step, TenantSummary, roles};
use crate::db::admin::TenantEnd;
use crate::db::{DbError, WholeSnapshot, admin};
use crate::identity::TenantId;
use crate::migrations::{Migrations, RunOptions, Runner};
use crate::tenants::purge::{self, PurgeError};
use crate::tenants::transfer::{self, ImportOptions, Imported};

const WAS_IMPORTED: &str = include_str!("../../sql/queries/backup/was_imported.sql");

/// Tenants that are named where there is none of the name asked for.
const MOST_NAMED: usize = 20;
/// For calls of a tenant that nobody can be.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tenant that was taken over.
#[derive(Debug, Clone, Serialize)]
pub struct RestoredTenant {
    /// As it is here.
    #[serde(flatten)]
    pub imported: Imported,
    /// What it was called in the backup.
    pub slug_in_backup: String,
    /// When the backup was made.
    pub made_at: Timestamp,
    /// What a deleted tenant of the same name is called now.
    pub stepped_aside: Option<String>,
}

/// Restores the backup into a scratch database, compares the tenant's rows with the manifest, and takes the tenant over by export and
/// import, under `slug` or else its own name. The scratch database is dropped whatever comes.
///
/// # Errors
/// [`BackupError`]; then no tenant was made.
pub async fn restore_tenant(
    request: &Restore<'_>,
    name: &str,
    slug: Option<&str>,
    tell: &(dyn Fn(Step) + Sync),
    stop: impl Future<Output = ()>,
) -> Result<RestoredTenant, BackupError> {
    let Restore { connection, backup, .. } = *request;
    let tenant = find(backup, name)?;
    let slug = slug.unwrap_or(&tenant.slug);
    let target = connection.client().await?;
    is_known(backup)?;
    let newest = Migrations::embedded()?.newest();
    if schema_version(&target, connection.database()).await? != newest {
        return Err(BackupError::refused(
            "the database's schema is older than this program: `bailiwick migrate up` comes first",
        ));
    }
    let is_taken = is_taken(&target, slug).await?;
    let client = connection.maintenance().await?;
    may_restore(&client, connection.database()).await?;
    let filling = Filling::prepare(request.programs, &client, backup).await?;
    let scratch = Scratch::new(connection, connection.database());
    scratch.take_turn(&client).await?;
    let passage = Passage::open(request.data_dir, &scratch.own_name())?;
    let file = passage.file("tenant.jsonl");
    // Of the file that is imported, once there is one.
    let sha256 = OnceLock::new();
    let aside = is_taken.then(|| format!("{slug:.40}-deleted-{}", Timestamp::now().as_second()));
    let work = async {
        backup.check(tell).await?;
        for note in roles::make(&client, backup.manifest(), &scratch, request.passwords, tell).await? {
            tracing::warn!("{note}");
        }
        scratch.create(&client, None).await?;
        filling.run(backup, &scratch, request.jobs, tell).await?;
        let _ = sha256.set(export(backup, &scratch, tenant, &file, tell).await?);
        scratch.drop(&client).await?;
        if let Some(aside) = &aside {
            admin::step_aside(&target, slug, aside).await?;
        }
        let options = ImportOptions { slug: Some(slug.to_owned()), without_vectors: false };
        let imported = transfer::import(&target, &file, &options, |step| {
            if let transfer::Step::Stored { documents, of } = step {
                tell(Step::Transferring { documents, of });
            }
        });
        Ok::<_, BackupError>(imported.await?)
    };
    let done = tokio::select! {
        biased;
        () = stop => Err(BackupError::BrokenOff),
        done = work => done,
    };
    match done {
        Ok(imported) => Ok(RestoredTenant {
            imported,
            slug_in_backup: tenant.slug.clone(),
            made_at: backup.manifest().made_at,
            stepped_aside: aside,
        }),
        Err(error) => {
            scratch.clear_away(connection).await;
            // It may be in the middle of something, and holds the import's lock.
            drop(target);
            match undo(connection, slug, sha256.get().map(String::as_str), aside.as_deref()).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(BackupError::refused(format!(
                        "{error}, but the tenant {slug} was restored already and is open: `bailiwick tenant delete {slug}` if it is not wanted"
                    )));
                }
                Err(undoing) => {
                    tracing::error!(%undoing, tenant = slug, "what was begun could not be taken back: see `bailiwick tenant list`");
                }
            }
            Err(error)
        }
    }
}

fn find<'a>(backup: &'a BackupFile, name: &str) -> Result<&'a TenantSummary, BackupError> {
    let tenants = &backup.manifest().tenants;
    let found = tenants.iter().find(|tenant| tenant.slug == name || tenant.id.to_string() == name.to_lowercase());
    found.ok_or_else(|| {
        let mut known: Vec<&str> = tenants.iter().map(|tenant| tenant.slug.as_str()).take(MOST_NAMED).collect();
        if tenants.len() > MOST_NAMED {
            known.push("…");
        }
        BackupError::refused(format!("there is no tenant {name:?} in this backup; there are {}", known.join(", ")))
    })
}

/// Whether the name is a deleted tenant's; any other's is not to be had.
async fn is_taken(target: &Client, slug: &str) -> Result<bool, BackupError> {
    match admin::tenant_end(target, slug, 0).await? {
        None => Ok(false),
        Some(end) if end.is_deleted && end.import_sha256.is_none() => Ok(true),
        Some(end) if end.is_deleted => Err(BackupError::refused(format!(
            "an import as {slug:?} was broken off: `bailiwick tenant purge {slug} --now --confirm {slug}` clears it away, or give another name with --as"
        ))),
        Some(_) => Err(BackupError::refused(format!(
            "there is a tenant {slug:?}, and it is not overwritten: give another name with --as, or delete it first (`bailiwick tenant delete {slug}`)"
        ))),
    }
}

/// Writes the tenant to a file, once its rows are seen to be those of the backup; returns the file's checksum.
async fn export(
    backup: &BackupFile,
    scratch: &Scratch,
    tenant: &TenantSummary,
    file: &Path,
    tell: &(dyn Fn(Step) + Sync),
) -> Result<String, BackupError> {
    let mut inside = scratch.client().await?;
    admin::analyse(&inside).await?;
    tell(Step::Verifying { what: format!("tenant {}", tenant.slug) });
    let snapshot = WholeSnapshot::begin(&inside).await?;
    let contents = Contents::read(&snapshot, tell).await?;
    snapshot.end().await?;
    if !contents.tenants.contains(tenant) {
        return Err(BackupError::refused(format!(
            "the tenant {} did not come out of the backup as it went in: nothing was restored; take another backup",
            tenant.slug
        )));
    }
    let migrations = Migrations::embedded()?;
    if backup.manifest().schema_version < migrations.newest() {
        Runner::new(&migrations, RunOptions::default()).up(&mut inside, None, |_| ()).await?;
    }
    Ok(transfer::export(&inside, TenantId::from(tenant.id), file, |_, _| ()).await?.sha256)
}

async fn was_imported(target: &Client, id: TenantId, sha256: &str) -> Result<bool, BackupError> {
    let row = target.query_one(WAS_IMPORTED, &[&id, &sha256]).await.map_err(DbError::from)?;
    Ok(row.try_get("was_imported").map_err(DbError::from)?)
}

/// Takes back what was begun in the database itself, by this import and no other; `false` if it had come to its end before it was broken
/// off.
async fn undo(
    connection: &Connection,
    slug: &str,
    sha256: Option<&str>,
    aside: Option<&str>,
) -> Result<bool, BackupError> {
    // Nothing is begun there before there is a file.
    let Some(sha256) = sha256 else { return Ok(true) };
    let target = &connection.client().await?;
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let end = admin::tenant_end(target, slug, 0).await?;
        let is_ours = |end: &TenantEnd| end.import_sha256.clone().map(hex).as_deref() == Some(sha256);
        match end {
            Some(end) if is_ours(&end) => match purge::purge(target, end.id, PATIENCE, |_, _| ()).await {
                // The session that imported is gone, and the server has not seen it yet.
                Err(PurgeError::Importing) if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                // It was opened since we looked.
                Err(PurgeError::NotDeleted) => {}
                done => break done.map(drop)?,
            },
            Some(end) if end.import_sha256.is_none() && was_imported(target, end.id, sha256).await? => {
                return Ok(false);
            }
            _ => break,
        }
    }
    if let Some(aside) = aside {
        admin::step_aside(target, aside, slug).await?;
    }
    Ok(true)
}
