//! From a scratch database to the one that is served: what a dump leaves out, and the name.

use tokio_postgres::Client;

use super::restore::Restore;
use super::scratch::Scratch;
use super::{BackupError, Manifest, roles};
use crate::db::admin::DatabaseForm;
use crate::db::{DbError, admin};
use crate::migrations::Migrations;

const CURRENT_SETTING: &str = include_str!("../../sql/queries/backup/current_setting.sql");

/// Settings that would change who the session is that sets them.
const NOT_SET: [&str; 2] = ["role", "session_authorization"];

/// Gives the database what stood beside it where it came from, and its name; returns what is left to a person.
pub(super) async fn place(
    request: &Restore<'_>,
    client: &Client,
    scratch: &Scratch,
    form: Option<&DatabaseForm>,
    made: &[String],
) -> Result<Vec<String>, BackupError> {
    let manifest = request.backup.manifest();
    let target = request.connection.database();
    let mut notes = Vec::new();
    let owner = form.map_or(manifest.database.owner.as_str(), DatabaseForm::owner);
    // A role that is no superuser keeps what it made.
    if let Err(error) = admin::give_database(client, scratch.name(), owner).await {
        notes.push(format!("the database belongs to the role that restored it and not to {owner}: {error}"));
    }
    let inside = scratch.client().await?;
    notes.extend(grant(manifest, &inside, scratch.name()).await?);
    notes.extend(settings(manifest, &inside, scratch.name(), made).await?);
    drop(inside);
    if let Some(known) = request.passwords {
        for role in roles::set_passwords(client, made, known).await? {
            notes.push(format!("the role {role} was made and has no password: ALTER ROLE {role} PASSWORD …, where the server asks for one"));
        }
    }
    notes.extend(server_settings(manifest, client, request.server_settings).await?);
    let observer = request.connection.maintenance().await?;
    let aside = scratch.aside();
    admin::put_in_place(client, &observer, scratch.name(), target, form.map(|_| aside.as_str())).await?;
    if form.is_some()
        && let Err(error) = admin::drop_database(client, &aside).await
    {
        notes.push(format!("the database that was replaced is still there as {aside}: {error}"));
    }
    if manifest.schema_version < Migrations::embedded()?.newest() {
        notes.push(format!(
            "the schema is at {:06}, an older one than this program's: `bailiwick migrate up`",
            manifest.schema_version
        ));
    }
    Ok(notes)
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

/// What sessions begin with: of the database, and of roles that were made just now.
async fn settings(manifest: &Manifest, client: &Client, name: &str, made: &[String]) -> Result<Vec<String>, DbError> {
    let mut notes = Vec::new();
    for setting in &manifest.database.settings {
        let role = setting.role.as_deref();
        if !setting.of_database && role.is_none_or(|role| !made.iter().any(|made| made == role)) {
            continue;
        }
        let database = setting.of_database.then_some(name);
        let done = match NOT_SET.contains(&setting.name.as_str()) {
            true => Err(DbError::RefusedValue("it is set by hand or not at all".to_owned())),
            false => admin::set_for_sessions(client, database, role, &setting.name, &setting.value).await,
        };
        if let Err(error) = done {
            let of = role.unwrap_or("the database");
            notes.push(format!("not set: {} = {} for sessions of {of} ({error})", setting.name, setting.value));
        }
    }
    Ok(notes)
}

/// What ALTER SYSTEM had set and is another here: it may be of the old machine's size, so it is set only if that was asked for.
async fn server_settings(manifest: &Manifest, client: &Client, set: bool) -> Result<Vec<String>, DbError> {
    let mut notes = Vec::new();
    for (name, value) in &manifest.server_settings {
        let rows = client.query(CURRENT_SETTING, &[&name]).await?;
        let here: Option<String> = rows.first().map(|row| row.try_get("value")).transpose()?.flatten();
        if here.as_ref() == Some(value) {
            continue;
        }
        let here = here.unwrap_or_else(|| "not known".to_owned());
        match set {
            false => notes.push(format!("ALTER SYSTEM had set {name} = {value} where the backup was made, and here it is {here}: --server-settings sets it")),
            true => match admin::set_for_server(client, name, value).await {
                Ok(()) => notes.push(format!("set for the server: {name} = {value}, which was {here} (some settings take a restart)")),
                Err(error) => notes.push(format!("not set for the server: {name} = {value} ({error})")),
            },
        }
    }
    Ok(notes)
}
