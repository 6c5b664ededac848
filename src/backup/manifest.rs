//! What was in a database when it was dumped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::Hash;
use crate::db::admin::DatabaseForm;

/// Names the format; another number is another format.
pub(super) const FORMAT: &str = "bailiwick-backup-2";

/// All that is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Names the format.
    pub format: String,
    /// The program's version.
    pub program: String,
    /// When the snapshot was taken, by this program's clock.
    pub made_at: Timestamp,
    /// The dump that the manifest stands behind.
    pub dump: Dump,
    /// The server that it is of.
    pub server: Server,
    /// The last migration.
    pub schema_version: i64,
    /// What a dump leaves out.
    pub database: Database,
    /// Whom something belongs to or is granted to.
    pub roles: Vec<String>,
    /// What ALTER SYSTEM had set, name and value; empty where the role was not shown it.
    pub server_settings: Vec<(String, String)>,
    /// The last seal of the audit trail.
    pub audit: Option<AuditHead>,
    /// Every tenant with the checksum of all its rows.
    pub tenants: Vec<TenantSummary>,
    /// Every table.
    pub tables: BTreeMap<String, TableRows>,
    /// What each sequence had given out at least.
    pub sequences: BTreeMap<String, i64>,
    /// Every object of the schema, `kind name`, with a checksum of its definition.
    pub objects: BTreeMap<String, String>,
}

/// A dump as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    pub sha256: Hash,
    /// The version of the `pg_dump` that wrote it.
    pub pg_dump: String,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// `server_version_num`.
    pub version: i32,
    /// For people.
    pub version_text: String,
    /// Extensions in the database, with their versions.
    pub extensions: BTreeMap<String, String>,
}

/// What belongs to a database and is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Its encoding and order of texts.
    #[serde(default)]
    pub form: Option<DatabaseForm>,
    /// Who may connect, and more.
    pub grants: Vec<Grant>,
    /// What its sessions, and those of our roles, begin with.
    pub settings: Vec<Setting>,
}

/// A privilege on the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// Who has it; `None` is everybody.
    pub grantee: Option<String>,
    /// Which.
    pub privilege: String,
    /// Whether it can be passed on.
    pub is_grantable: bool,
}

/// A setting that sessions begin with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Setting {
    /// Whose sessions; `None` is everybody's.
    pub role: Option<String>,
    /// Only in this database.
    pub of_database: bool,
    /// Which.
    pub name: String,
    /// As it stands in the catalog.
    pub value: String,
}

/// The end of the audit trail's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The last seal's number.
    pub seal_no: i64,
    /// Its head.
    pub head: Hash,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSummary {
    /// Its id.
    pub id: Uuid,
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// active, suspended or deleted.
    pub status: String,
    /// Its rows in all tables.
    pub rows: i64,
    /// Over its rows' checksums in each table.
    pub sha256: Hash,
}

/// What a table held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// All rows.
    pub rows: i64,
    /// By tenant; under `""` those that are nobody's.
    pub tenants: BTreeMap<String, Rows>,
}

/// Rows, in whatever order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// How many.
    pub rows: i64,
    /// As `row_checksums()` sums them up.
    pub checksum: String,
}

impl Manifest {
    /// The major version of the `pg_dump` that wrote the dump.
    pub(super) fn dump_major(&self) -> i32 {
        self.dump.pg_dump.split(|c: char| !c.is_ascii_digit()).next().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

/// A tenant's rows in all tables, and the checksum over them.
pub(super) fn of_tenant(tables: &BTreeMap<String, TableRows>, id: Uuid) -> (i64, Hash) {
    let id = id.to_string();
    let (mut rows, mut hash) = (0, Sha256::new());
    for (table, all) in tables {
        if let Some(own) = all.tenants.get(&id) {
            rows += own.rows;
            hash.update(format!("{table} {} {}\n", own.rows, own.checksum));
        }
    }
    (rows, Hash::of(hash))
}
