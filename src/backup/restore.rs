//! The whole database out of a backup.

use std::path::Path;

use tokio_postgres::Client;

use super::fill::Filling;
use super::scratch::Scratch;
use super::{BackupError, BackupFile, Connection, Programs, Step, Verification, passage, place, roles, verify};
use crate::audit::Expectations;
use crate::db::admin::DatabaseForm;
use crate::db::{DbError, Endpoint, admin};
use crate::migrations::Migrations;

const POWERS: &str = include_str!("../../sql/queries/backup/powers.sql");
const HOLDINGS: &str = include_str!("../../sql/queries/backup/holdings.sql");
const PREPARED: &str = include_str!("../../sql/queries/backup/prepared_transactions.sql");

/// Databases of the server's own.
const SERVERS_OWN: [&str; 3] = ["postgres", "template0", "template1"];

/// What to restore, and how.
#[derive(Debug, Clone)]
pub struct Restore<'a> {
    /// As an administrator, with the name of the database that it is to become.
    pub connection: &'a Connection,
    /// Where `pg_restore` is.
    pub programs: &'a Programs,
    /// The backup.
    pub backup: &'a BackupFile,
    /// Whether a database of that name that holds something may go.
    pub replace: bool,
    /// Tables and indexes at a time.
    pub jobs: usize,
    /// Whether what PostgreSQL prints of views, constraints, defaults, indexes, policies and the like may be in other words than it was.
    pub accept_definitions: bool,
    /// How this program connects: roles that have to be made get the passwords of these. `None` where nobody is asked for one.
    pub passwords: Option<&'a [Endpoint]>,
    /// What is known of the audit trail from outside.
    pub expectations: &'a Expectations,
    /// Where a tenant's data are on their way from one database into the other; what killed restores left there is cleared away.
    pub data_dir: &'a Path,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Whether the restored database has its name. If not, it was not as the backup says, and nothing was changed.
    pub is_in_place: bool,
    /// Whether it took another's place.
    pub has_replaced: bool,
    /// Whether servers may know of seals that the restored trail has not.
    pub may_lack_seals: bool,
    /// What was compared.
    pub verification: Verification,
    /// What is left to a person.
    pub notes: Vec<String>,
}

/// Restores into a database beside the one wanted, verifies it, and gives it that one's name and place. Until then, and if `stop` comes
/// before, everything stays as it was.
///
/// # Errors
/// [`BackupError`].
pub async fn restore(
    request: &Restore<'_>,
    tell: &(dyn Fn(Step) + Sync),
    stop: impl Future<Output = ()>,
) -> Result<Restored, BackupError> {
    let Restore { connection, backup, .. } = *request;
    let client = connection.maintenance().await?;
    may_restore(&client, connection.database()).await?;
    is_known(backup)?;
    let standing = standing(request, &client).await?;
    let filling = Filling::prepare(request.programs, &client, backup).await?;
    let scratch = Scratch::new(connection, connection.database());
    scratch.take_turn(&client).await?;
    passage::clear_abandoned(request.data_dir);
    // Said whatever becomes of the restore.
    let mut notes = Vec::new();
    let work = async {
        backup.check(tell).await?;
        notes.extend(roles::make(&client, backup.manifest(), &scratch, request.passwords, tell).await?);
        notes.extend(place::create(backup.manifest(), &client, &scratch, standing.as_ref()).await?);
        fill_and_verify(request, &filling, &scratch, tell).await
    };
    let done = tokio::select! {
        biased;
        () = stop => Err(BackupError::BrokenOff),
        done = work => done,
    };
    let verification = match done {
        Ok(verification) if verification.is_fit(request.accept_definitions) => verification,
        other => {
            scratch.clear_away(connection).await;
            if other.is_err() {
                notes.iter().for_each(|note| tracing::warn!("{note}"));
            }
            let verification = other?;
            return Ok(Restored {
                is_in_place: false,
                has_replaced: false,
                may_lack_seals: false,
                verification,
                notes,
            });
        }
    };
    tell(Step::Placing);
    let placed = place::place(request, &client, &scratch, standing.as_ref()).await;
    if placed.is_err() {
        scratch.clear_away(connection).await;
    }
    let placed = placed?;
    notes.extend(placed.notes);
    if !filling.left_out.is_empty() {
        notes.push(format!(
            "not restored, since this server does not have it: extension {}",
            filling.left_out.join(", ")
        ));
    }
    let has_replaced = standing.is_some();
    Ok(Restored { is_in_place: true, has_replaced, may_lack_seals: placed.may_lack_seals, verification, notes })
}

async fn fill_and_verify(
    request: &Restore<'_>,
    filling: &Filling,
    scratch: &Scratch,
    tell: &(dyn Fn(Step) + Sync),
) -> Result<Verification, BackupError> {
    filling.run(request.backup, scratch, request.jobs, tell).await?;
    let inside = scratch.client().await?;
    tell(Step::Analysing);
    admin::analyse(&inside).await?;
    // Who may do what in the database belongs to what is checked.
    place::grant(request.backup.manifest(), &inside, scratch.name()).await?;
    verify(&inside, request.backup.manifest(), request.expectations, tell).await
}

/// Whether this session may restore, and that database may be one of ours.
pub(super) async fn may_restore(client: &Client, database: &str) -> Result<(), BackupError> {
    if SERVERS_OWN.contains(&database) {
        return Err(BackupError::refused(format!(
            "the database {database:?} is the server's own: name another by --into"
        )));
    }
    let row = client.query_one(POWERS, &[]).await.map_err(DbError::from)?;
    if row.try_get::<_, bool>("is_superuser").map_err(DbError::from)? {
        return Ok(());
    }
    let name: String = row.try_get("name").map_err(DbError::from)?;
    Err(BackupError::refused(format!(
        "the role {name} is no superuser, and a restore makes a database and gives what is in it to other roles: connect as a superuser \
         (BAILIWICK_ADMIN_DATABASE_URL)"
    )))
}

/// Whether this program knows the schema of the backup.
pub(super) fn is_known(backup: &BackupFile) -> Result<(), BackupError> {
    let (of, known) = (backup.manifest().schema_version, Migrations::embedded()?.newest());
    if of > known {
        return Err(BackupError::refused(format!(
            "this backup is of bailiwick {} with schema {of:06}, and this program knows schemas up to {known:06}: restore it with a newer one",
            backup.manifest().program
        )));
    }
    Ok(())
}

/// The database that is to be replaced.
#[derive(Debug)]
pub(super) struct Standing {
    pub form: DatabaseForm,
    /// Whether nothing was in it.
    pub is_empty: bool,
}

/// What is in a database.
#[derive(Debug)]
pub(super) struct Holdings {
    /// Anything of anybody's.
    pub holds_any: bool,
    /// Our schema.
    pub is_ours: bool,
}

/// Looks into a database.
pub(super) async fn holdings(of: &Connection) -> Result<Holdings, DbError> {
    let row = of.client().await?.query_one(HOLDINGS, &[]).await?;
    Ok(Holdings { holds_any: row.try_get("holds_any")?, is_ours: row.try_get("is_ours")? })
}

/// The database that is to be replaced, if there is one and it may be.
async fn standing(request: &Restore<'_>, client: &Client) -> Result<Option<Standing>, BackupError> {
    let name = request.connection.database();
    let Some(form) = admin::database_form(client, name).await? else { return Ok(None) };
    let Holdings { holds_any, is_ours } = holdings(request.connection).await?;
    match (holds_any, is_ours, request.replace) {
        (true, false, _) => {
            return Err(BackupError::refused(format!(
                "the database {name:?} holds what is none of Bailiwick's and is not replaced: name another by --into"
            )));
        }
        (true, true, false) => {
            return Err(BackupError::refused(format!(
                "the database {name:?} holds data: --replace puts the backup in its place once all of it is verified, and --into names another database"
            )));
        }
        _ => {}
    }
    let prepared = client.query(PREPARED, &[&name]).await.map_err(DbError::from)?;
    if let Some(row) = prepared.first() {
        let gid: String = row.try_get("gid").map_err(DbError::from)?;
        return Err(BackupError::refused(format!(
            "{} prepared transactions are open in the database {name:?}, which keep it in its place: COMMIT PREPARED or ROLLBACK PREPARED them \
             first ({gid:?} is one)",
            prepared.len()
        )));
    }
    Ok(Some(Standing { form, is_empty: !holds_any }))
}
