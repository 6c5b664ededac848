use clap::Args;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::CommandError;
use crate::db::admin::keys::{self, KeyName, KeyRow};
use crate::identity::ApiKey;

/// Fewest characters of a prefix that name a key.
const SHORTEST: usize = 4;
/// Candidates named at most.
const MOST_CANDIDATES: usize = 10;

/// Which key.
#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArguments {
    /// Its prefix (or the first 4 characters and more of it), its id, or the key itself
    #[arg(value_name = "PREFIX_OR_ID")]
    key: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Checked arguments.
pub(super) struct Request {
    name: KeyName,
    /// How the key was named, fit to be shown.
    shown: String,
    json: bool,
}

impl RevokeArguments {
    /// Finds out what was given. A key that was pasted whole, perhaps with a slip, is never shown again.
    pub(super) fn checked(self) -> Result<Request, CommandError> {
        let text = self.key.trim();
        let json = self.json;
        if let Ok(key) = ApiKey::parse(text) {
            return Ok(Request {
                name: KeyName { sha256: Some(key.sha256()), ..KeyName::default() },
                shown: key.to_string(),
                json,
            });
        }
        if let Ok(id) = text.parse::<Uuid>() {
            return Ok(Request { name: KeyName { id: Some(id), ..KeyName::default() }, shown: id.to_string(), json });
        }
        let prefix = text.strip_prefix("bwk_").unwrap_or(text);
        // Letters and digits alone, so that nothing of a mistyped key is taken for a prefix.
        if !(SHORTEST..=8).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!(
                "a key is named by its prefix ({SHORTEST} to 8 letters and digits), its id, or the whole key; `bailiwick key list` shows prefixes and ids"
            )
            .into());
        }
        let name = KeyName { prefix: Some(prefix.to_owned()), ..KeyName::default() };
        Ok(Request { name, shown: prefix.to_owned(), json })
    }
}

/// Revokes the one key that is meant.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(client: &Client, request: Request) -> Result<(), CommandError> {
    let Request { name, shown, json } = request;
    let found = keys::find(client, &name).await?;
    let key = match found.as_slice() {
        [] => return Err(no_key(&shown)),
        [key] => key,
        several => return Err(ambiguous(&shown, several)),
    };
    let revoked_at = keys::revoke(client, key).await?.ok_or_else(|| no_key(&shown))?;
    let already = key.revoked_at.is_some();
    let KeyRow { id, prefix, tenant, user, .. } = key;
    match (json, already) {
        (true, _) => println!(
            "{}",
            json!({ "revoked": {
                "id": id, "prefix": prefix, "tenant": tenant, "user": user, "revoked_at": revoked_at, "already": already,
            } })
        ),
        (false, false) => {
            println!("key {prefix} of {user} in tenant {tenant} revoked; servers refuse it within a second");
        }
        (false, true) => println!("key {prefix} of {user} in tenant {tenant} was revoked already, at {revoked_at}"),
    }
    Ok(())
}

fn no_key(shown: &str) -> CommandError {
    format!("there is no key {shown}; `bailiwick key list` shows them").into()
}

fn ambiguous(shown: &str, keys: &[KeyRow]) -> CommandError {
    let mut text = format!("{shown} means {} keys; say which by its id:", keys.len());
    for KeyRow { id, prefix, tenant, user, state, .. } in keys.iter().take(MOST_CANDIDATES) {
        text.push_str(&format!("\n  {id}  {prefix}  {user} in tenant {tenant}, {state}"));
    }
    if keys.len() > MOST_CANDIDATES {
        text.push_str("\n  …");
    }
    text.into()
}
