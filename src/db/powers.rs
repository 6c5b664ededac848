//! What a role could do against row-level security.

use tokio_postgres::{Client, Row};

use super::admin::{self, ApplicationSession};
use super::{DbError, Endpoint};

pub(super) const ROLE_POWERS: &str = include_str!("../../sql/queries/system/role_powers.sql");

/// Why the role that [`ROLE_POWERS`] tells of could see past row-level security, in words for the operator; empty if it could not.
pub(super) fn faults(row: &Row) -> Result<Vec<String>, DbError> {
    let role: String = row.try_get("role_name")?;
    let mut faults = Vec::new();
    if row.try_get("is_superuser")? {
        faults.push(format!("the role {role:?} is a superuser, whom row-level security does not bind"));
    }
    if row.try_get("bypasses_rls")? {
        faults.push(format!("the role {role:?} has BYPASSRLS"));
    }
    let powerful: Vec<String> = row.try_get("powerful_memberships")?;
    if !powerful.is_empty() {
        faults.push(format!("the role {role:?} is a member of {}", powerful.join(", ")));
    }
    let owned: Vec<String> = row.try_get("owned_tables")?;
    if !owned.is_empty() {
        faults.push(format!(
            "the role {role:?} owns {}, and an owner can switch row-level security off",
            owned.join(", ")
        ));
    }
    let emptied: Vec<String> = row.try_get("emptied_tables")?;
    // Each of the above may do that as well.
    if faults.is_empty() && !emptied.is_empty() {
        faults.push(format!(
            "the role {role:?} may empty {} (TRUNCATE), which row-level security does not bind",
            emptied.join(", ")
        ));
    }
    Ok(faults)
}

/// The same of a connection that has just been made.
pub(super) async fn faults_on(client: &Client) -> Result<Vec<String>, DbError> {
    faults(&client.query_one(ROLE_POWERS, &[]).await?)
}

/// Logs in by an application's way: what its session stands on, and why its role could see past row-level security.
///
/// # Errors
/// Any [`DbError`]: it does not get in.
pub(crate) async fn examine_application(app: &Endpoint) -> Result<(ApplicationSession, Vec<String>), DbError> {
    let client = admin::connect(app).await?;
    let session = admin::application_session(&client).await?;
    // What is prepared needs a session of its own.
    let faults = match app.is_pooled() {
        true => faults_on(&admin::connect(app.direct()).await?).await?,
        false => faults_on(&client).await?,
    };
    Ok((session, faults))
}
