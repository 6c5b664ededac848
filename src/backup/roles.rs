//! The roles that a dump names: made as the migrations make them.

use tokio_postgres::Client;

use super::scratch::Scratch;
use super::{BackupError, Manifest, Setting, Step};
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

/// Those that can log in.
const LOG_IN: [&str; 3] = ["bailiwick_app", "bailiwick_maintenance", "bailiwick_backup"];

/// Makes those of the schema's roles that this server lacks, by migrating an empty database that is dropped again, and gives them at once
/// what roles have of their own: whatever becomes of the restore, they are whole. Returns what is left to a person. Nothing is done if
/// the dump names others that are not here.
pub(super) async fn make(
    client: &Client,
    manifest: &Manifest,
    scratch: &Scratch,
    passwords: Option<&[Endpoint]>,
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
    if lacking.is_empty() {
        return Ok(Vec::new());
    }
    tell(Step::MakingRoles);
    scratch.create(client, None).await?;
    let mut inside = scratch.client().await?;
    let migrations = Migrations::embedded()?;
    Runner::new(&migrations, RunOptions::default()).up(&mut inside, None, |_| ()).await?;
    drop(inside);
    let mut notes = Vec::new();
    for role in lacking.iter().filter(|role| LOG_IN.contains(&role.as_str())) {
        let Some(known) = passwords else { continue };
        let config = known.iter().find(|config| config.get_user() == Some(role));
        match config.and_then(|config| config.get_password()) {
            Some(password) => admin::set_password(client, role, password).await?,
            None => notes.push(format!(
                "the role {role} was made and has no password: ALTER ROLE {role} PASSWORD …, where the server asks for one"
            )),
        }
    }
    let of_roles = |setting: &&Setting| {
        let is_made = |role: &String| lacking.contains(role);
        !setting.of_database && setting.role.as_ref().is_some_and(is_made)
    };
    notes.extend(super::place::set(client, manifest.database.settings.iter().filter(of_roles), None).await);
    scratch.drop(client).await?;
    Ok(notes)
}

async fn missing(client: &Client, names: &[String]) -> Result<Vec<String>, DbError> {
    client.query(MISSING_ROLES, &[&names]).await?.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

/// Says which of the ways that this program connects by does not lead into the restored database.
pub(super) async fn locked_out(known: &[Endpoint], database: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for endpoint in known {
        let endpoint = endpoint.direct().with_database(database);
        let role = endpoint.get_user().unwrap_or_default();
        if let Err(error) = admin::connect(&endpoint).await {
            notes.push(format!("the role {role} cannot log in as this program does ({error}): ALTER ROLE {role} PASSWORD …, or mend its URL"));
        }
    }
    notes
}
