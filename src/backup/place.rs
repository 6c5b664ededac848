//! From a scratch database to the one that is served: what a dump leaves out, and the name.

use tokio_postgres::Client;

use super::restore::{Restore, Standing};
use super::scratch::Scratch;
use super::{BackupError, Manifest, Setting, roles, swap};
use crate::db::admin::DatabaseForm;
use crate::db::{DbError, admin};
use crate::migrations::Migrations;

const CURRENT_SETTING: &str = include_str!("../../sql/queries/backup/current_setting.sql");

/// Settings that would change who the session is that sets them.
const NOT_SET: [&str; 2] = ["role", "session_authorization"];

/// What came of giving the database its name.
pub(super) struct Placed {
    /// What is left to a person.
    pub notes: Vec<String>,
    /// Whether servers may know of seals that it has not.
    pub may_lack_seals: bool,
}

/// Gives the database what stood beside it where it came from, and its name.
pub(super) async fn place(
    request: &Restore<'_>,
    client: &Client,
    scratch: &Scratch,
    standing: Option<&Standing>,
) -> Result<Placed, BackupError> {
    let manifest = request.backup.manifest();
    let mut notes = Vec::new();
    let owner = standing.map_or(manifest.database.owner.as_str(), |standing| standing.form.owner());
    // A role that is no superuser keeps what it made.
    if let Err(error) = admin::give_database(client, scratch.name(), owner).await {
        notes.push(format!("the database belongs to the role that restored it and not to {owner}: {error}"));
    }
    let inside = scratch.client().await?;
    notes.extend(grant(manifest, &inside, scratch.name()).await?);
    let of_database = manifest.database.settings.iter().filter(|setting| setting.of_database);
    notes.extend(set(&inside, of_database, Some(scratch.name())).await);
    drop(inside);
    notes.extend(server_settings(manifest, client).await?);
    let swapped = swap::swap(request, client, scratch, standing).await?;
    notes.extend(swapped.notes);
    if let Some(known) = request.passwords {
        notes.extend(roles::locked_out(known, request.connection.database()).await);
    }
    if manifest.schema_version < Migrations::embedded()?.newest() {
        notes.push(format!(
            "the schema is at {:06}, an older one than this program's: `bailiwick migrate up`",
            manifest.schema_version
        ));
    }
    Ok(Placed { notes, may_lack_seals: swapped.may_lack_seals })
}

/// Makes the scratch database: in the form of the one that is to be replaced, else in that of the one that the backup is of, else as this
/// server makes them. Says what is not as it was.
pub(super) async fn create(
    manifest: &Manifest,
    client: &Client,
    scratch: &Scratch,
    standing: Option<&Standing>,
) -> Result<Vec<String>, BackupError> {
    let was = manifest.database.form.as_ref();
    if let Some(Standing { form, .. }) = standing {
        scratch.create(client, Some(form)).await?;
        let differs = was.filter(|was| was.locale() != form.locale());
        return Ok(differs.map(|was| other_locale(&form.locale(), was)).into_iter().collect());
    }
    let Some(was) = was else {
        scratch.create(client, None).await?;
        return Ok(Vec::new());
    };
    // An operating system may not know another's locales.
    match scratch.create(client, Some(was)).await {
        Ok(()) => Ok(Vec::new()),
        Err(error @ DbError::Unavailable(_)) => Err(error.into()),
        Err(error) => {
            scratch.create(client, None).await?;
            Ok(vec![format!("{} ({error})", other_locale("this server's own", was))])
        }
    }
}

fn other_locale(here: &str, was: &DatabaseForm) -> String {
    format!("the database's locale is {here} and was {}: texts may be in another order", was.locale())
}

/// Privileges on the database itself, to the letter.
pub(super) async fn grant(manifest: &Manifest, client: &Client, name: &str) -> Result<Vec<String>, DbError> {
    let mut notes = Vec::new();
    admin::close_database(client, name).await?;
    for grant in &manifest.database.grants {
        let done =
            admin::grant_on_database(client, name, &grant.privilege, grant.grantee.as_deref(), grant.is_grantable);
        if let Err(error) = done.await {
            let grantee = grant.grantee.as_deref().unwrap_or("PUBLIC");
            notes.push(format!("not granted: {} on the database to {grantee} ({error})", grant.privilege));
        }
    }
    Ok(notes)
}

/// What sessions begin with, of a database or of a role anywhere; says what could not be set.
pub(super) async fn set<'a>(
    client: &Client,
    settings: impl Iterator<Item = &'a Setting>,
    database: Option<&str>,
) -> Vec<String> {
    let mut notes = Vec::new();
    for setting in settings {
        let role = setting.role.as_deref();
        let done = match NOT_SET.contains(&setting.name.as_str()) {
            true => Err(DbError::RefusedValue("it is set by hand or not at all".to_owned())),
            false => admin::set_for_sessions(client, database, role, &setting.name, &setting.value).await,
        };
        if let Err(error) = done {
            let of = role.unwrap_or("the database");
            notes.push(format!("not set: {} = {} for sessions of {of} ({error})", setting.name, setting.value));
        }
    }
    notes
}

/// Names what ALTER SYSTEM had set and is another here. It is of the old machine's size and place, so it is not set.
async fn server_settings(manifest: &Manifest, client: &Client) -> Result<Option<String>, DbError> {
    let mut others = Vec::new();
    for (name, value) in &manifest.server_settings {
        let rows = client.query(CURRENT_SETTING, &[&name]).await?;
        let here: Option<String> = rows.first().map(|row| row.try_get("value")).transpose()?.flatten();
        if here.as_ref() != Some(value) {
            others.push(name.as_str());
        }
    }
    Ok((!others.is_empty()).then(|| {
        format!(
            "ALTER SYSTEM had set otherwise where the backup was made: {} (the values are in the backup's last lines; they are of that machine)",
            others.join(", ")
        )
    }))
}
