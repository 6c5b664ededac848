//! The roles that a dump names: made as the migrations make them.

use tokio_postgres::Client;

use super::scratch::Scratch;
use super::{BackupError, Manifest, Step};
use crate::db::{DbError, Endpoint, admin};
use crate::migrations::{Migrations, RunOptions, Runner};

const MISSING_ROLES: &str = include_str!("../../sql/queries/backup/missing_roles.sql");

/// Roles of the schema, which its first migration makes.
const OURS: [&str; 8] = [
    "bailiwick_owner",
    "bailiwick_definer",
    "bailiwick_identity",
    "bailiwick_statistics",
    "bailiwick_reaper",
    "bailiwick_app",
    "bailiwick_maintenance",
    "bailiwick_backup",
];

/// Makes those of the schema's roles that this server lacks, by migrating an empty database that is dropped again; returns which they
/// were. Nothing is done if the dump names others that are not here.
pub(super) async fn make(
    client: &Client,
    manifest: &Manifest,
    scratch: &Scratch,
    tell: &(dyn Fn(Step) + Sync),
) -> Result<Vec<String>, BackupError> {
    let named: Vec<String> = manifest.roles.clone();
    let foreign =
        missing(client, &named).await?.into_iter().filter(|name| !OURS.contains(&name.as_str())).collect::<Vec<_>>();
    if !foreign.is_empty() {
        return Err(BackupError::refused(format!(
            "things in this backup belong to or are granted to {}, which this server does not know: CREATE ROLE … NOLOGIN first, and drop it \
             afterwards if nothing needs it",
            foreign.join(", ")
        )));
    }
    let lacking = missing(client, &OURS.map(str::to_owned)).await?;
    if !lacking.is_empty() {
        tell(Step::MakingRoles);
        scratch.create(client, None).await?;
        let mut inside = scratch.client().await?;
        let migrations = Migrations::embedded()?;
        Runner::new(&migrations, RunOptions::default()).up(&mut inside, None, |_| ()).await?;
        drop(inside);
        scratch.drop(client).await?;
    }
    Ok(lacking)
}

async fn missing(client: &Client, names: &[String]) -> Result<Vec<String>, DbError> {
    client.query(MISSING_ROLES, &[&names]).await?.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

/// Gives roles that were just made the passwords that this program itself connects with; returns those that are left without one.
pub(super) async fn set_passwords(
    client: &Client,
    made: &[String],
    known: &[Endpoint],
) -> Result<Vec<String>, DbError> {
    let mut without = Vec::new();
    // The others cannot log in.
    for role in made
        .iter()
        .filter(|role| ["bailiwick_app", "bailiwick_maintenance", "bailiwick_backup"].contains(&role.as_str()))
    {
        let config = known.iter().find(|config| config.get_user() == Some(role));
        match config.and_then(|config| config.get_password()) {
            Some(password) => admin::set_password(client, role, password).await?,
            None => without.push(role.clone()),
        }
    }
    Ok(without)
}
