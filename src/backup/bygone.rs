//! What was decided since a backup and is undone by its restore: keys revoked, tenants shut, rows sealed.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use uuid::Uuid;

use super::{Connection, Manifest};
use crate::db::DbError;

const KEYS: &str = include_str!("../../sql/queries/backup/keys.sql");
const TENANTS: &str = include_str!("../../sql/queries/backup/tenants.sql");
const LAST_SEAL: &str = include_str!("../../sql/queries/backup/last_seal.sql");

/// Those that are named one by one.
const MOST_NAMED: usize = 20;

/// What comes back to life.
#[derive(Debug, Default)]
pub(super) struct Bygone {
    keys: Vec<String>,
    /// Those that let calls in again.
    open: Vec<String>,
    /// Those that are there again, and let nobody in.
    back: Vec<String>,
    pub has_sealed_since: bool,
}

/// Keys and tenants of one database, and how far its trail is sealed.
struct Standing {
    /// Those that let somebody in, in words; `None` those that do not.
    keys: BTreeMap<Uuid, Option<String>>,
    /// Slug and status.
    tenants: BTreeMap<Uuid, (String, String)>,
    last_seal: Option<i64>,
}

impl Bygone {
    /// Compares the database that was replaced with the one in its place, from which nobody is kept any more.
    pub async fn read(old: &Connection, new: &Connection) -> Result<Self, DbError> {
        let (old, new) = (Standing::read(&old.client().await?).await?, Standing::read(&new.client().await?).await?);
        let is_good = |id: &Uuid| old.keys.get(id).is_some_and(Option::is_some);
        let keys = new.keys.iter().filter(|(id, _)| !is_good(id)).filter_map(|(_, words)| words.clone()).collect();
        let (mut open, mut back) = (Vec::new(), Vec::new());
        for (id, (slug, status)) in new.tenants.iter().filter(|(_, (_, status))| status != "deleted") {
            let before = match old.tenants.get(id) {
                None => "purged",
                Some((_, before)) if before != status && before != "active" => before.as_str(),
                Some(_) => continue,
            };
            let all = if status == "active" { &mut open } else { &mut back };
            all.push(format!("{slug} ({status}, was {before})"));
        }
        Ok(Self { keys, open, back, has_sealed_since: old.last_seal > new.last_seal })
    }

    /// What a person should look at.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.keys.is_empty() {
            let keys = named(&self.keys);
            notes.push(format!(
                "keys that were revoked or gone since the backup let in again: {keys}: `bailiwick key revoke KEY`"
            ));
        }
        if !self.open.is_empty() {
            let tenants = named(&self.open);
            notes.push(format!("tenants that were shut since the backup are open again: {tenants}: `bailiwick tenant suspend` or `delete` them"));
        }
        if !self.back.is_empty() {
            let tenants = named(&self.back);
            notes.push(format!("tenants that were deleted since the backup are there again, suspended: {tenants}: `bailiwick tenant delete` them"));
        }
        notes
    }

    /// What is said where it could not be compared.
    pub fn unknown(manifest: &Manifest, error: Option<&DbError>) -> String {
        let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
        format!(
            "keys that were revoked and tenants that were suspended, deleted or purged since {} are as they were then, and there was nothing to compare \
             with{why}: see `bailiwick key list` and `bailiwick tenant list`",
            manifest.made_at
        )
    }
}

fn named(all: &[String]) -> String {
    let more = all.len().saturating_sub(MOST_NAMED);
    let first = all.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

impl Standing {
    async fn read(client: &Client) -> Result<Self, DbError> {
        let mut keys = BTreeMap::new();
        for row in client.query(KEYS, &[]).await? {
            let (prefix, slug): (String, String) = (row.try_get("key_prefix")?, row.try_get("slug")?);
            let user: String = row.try_get("user_id")?;
            let words = row.try_get::<_, bool>("is_good")?.then(|| format!("{prefix} ({slug}, {user})"));
            keys.insert(row.try_get("id")?, words);
        }
        let mut tenants = BTreeMap::new();
        for row in client.query(TENANTS, &[]).await? {
            tenants.insert(row.try_get("id")?, (row.try_get("slug")?, row.try_get("status")?));
        }
        let last_seal = client.query(LAST_SEAL, &[]).await?.first().map(|row| row.try_get("seal_no")).transpose()?;
        Ok(Self { keys, tenants, last_seal })
    }
}
