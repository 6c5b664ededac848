use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, expiry, no_tenant};
use crate::call::Problems;
use crate::db::TenantStatus;
use crate::db::admin::keys::{self, Creation, NewKey};
use crate::identity::{ApiKey, Scope, Scopes, UserId};
use crate::telemetry;

/// Whose key, for what and how long.
#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArguments {
    /// Tenant that the key opens (slug)
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// Who calls with it, as the audit trail will say: an e-mail address, a login, the name of an agent
    #[arg(long, value_name = "USER")]
    user: String,
    /// What it allows, parted by spaces: documents:read documents:write costs:read costs:write audit:read, or all
    #[arg(long, value_name = "SCOPES", default_value = "documents:read documents:write costs:read")]
    scopes: String,
    /// When it ends: a length of time (90d, 12h), an instant (RFC 3339), a date (its first moment in UTC), or never
    #[arg(long, value_name = "WHEN", default_value = "90d", allow_hyphen_values = true)]
    expires: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Checked arguments.
pub(super) struct Request {
    new: NewKey,
    json: bool,
}

impl CreateArguments {
    /// Checks what can be checked without the database.
    pub(super) fn checked(self) -> Result<Request, CommandError> {
        let mut problems = Problems::default();
        let user_id =
            UserId::parse(&self.user).map_err(|error| problems.add("--user", format!("is not valid: {error}")));
        let scopes = scopes(&self.scopes, &mut problems);
        let expires = expiry::parse(&self.expires, Timestamp::now());
        let expires_at = expires.unwrap_or_else(|problem| {
            problems.add("--expires", problem);
            None
        });
        match (problems.or(()), user_id) {
            (Ok(()), Ok(user_id)) => {
                Ok(Request { new: NewKey { tenant: self.tenant, user_id, scopes, expires_at }, json: self.json })
            }
            (problems, _) => Err(problems.err().unwrap_or_default().to_string().into()),
        }
    }
}

/// Notes all unknown names together.
fn scopes(text: &str, problems: &mut Problems) -> Scopes {
    let names = text.split([' ', ',']).filter(|name| !name.is_empty());
    let (known, unknown): (Vec<_>, Vec<_>) =
        names.map(|name| name.parse::<Scopes>().map_err(|_| name)).partition(Result::is_ok);
    let known: Scopes =
        Scope::ALL.into_iter().filter(|scope| known.iter().flatten().any(|s| s.allow(*scope))).collect();
    let unknown: Vec<_> = unknown.into_iter().filter_map(Result::err).map(|name| format!("{name:?}")).collect();
    let all = Scopes::all();
    if !unknown.is_empty() {
        problems.add("--scopes", format_args!("has unknown {}; there are {all}", unknown.join(", ")));
    } else if known == Scopes::default() {
        problems.add("--scopes", format_args!("is empty; there are {all}"));
    }
    known
}

/// Makes the key and prints it.
pub(super) async fn run(client: &Client, request: Request) -> Result<(), CommandError> {
    let Request { new, json } = request;
    let key = ApiKey::generate().map_err(|error| format!("the system gave no randomness for a key: {error}"))?;
    let id = match keys::create(client, &key, &new).await? {
        Creation::Made(id) => id,
        Creation::NoTenant => return Err(no_tenant(&new.tenant)),
        Creation::Inactive(status) => {
            let status = if status == TenantStatus::Suspended { "suspended" } else { "deleted" };
            return Err(format!("the tenant {:?} is {status}; only active tenants get new keys", new.tenant).into());
        }
    };
    let NewKey { tenant, user_id, scopes, expires_at } = new;
    let prefix = key.prefix();
    let line = match json {
        true => json!({
            "key": key.expose(), "id": id, "prefix": prefix, "tenant": tenant, "user": user_id.as_str(),
            "scopes": scopes.names(), "expires_at": expires_at,
        })
        .to_string(),
        false => key.expose().to_owned(),
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|error| {
        format!(
            "the key {prefix} was made but could not be printed ({error}); take it back: bailiwick key revoke {prefix}"
        )
    })?;
    if !json {
        // Beside the key rather than with it, so that `KEY=$(bailiwick key create …)` holds the key alone.
        let until = expires_at.map_or_else(|| "without end".to_owned(), |end| format!("until {end}"));
        telemetry::announce(&format!(
            "Key {prefix} of {user_id} in tenant {tenant}, {until}, for {scopes}.\n\
             Copy it now: it is kept nowhere and cannot be shown again. Its user sends it as\n  \
             Authorization: Bearer bwk_{prefix}_…\n\
             To take it back: bailiwick key revoke {prefix}"
        ));
    }
    Ok(())
}
