//! Backups: a dump of the database that carries what it takes to know that it is whole, and the way back from it.
//!
//! A backup is one file (`file`): what `pg_dump` writes in its custom format, which `pg_restore` reads as it stands, and behind it a
//! [`Manifest`] of what was in the database at that very moment. Checksums of each tenant's rows are taken in the snapshot that the
//! dump is of (`contents`), so that after a restore every row, every object of the schema and the audit trail's chain are compared
//! with what was there ([`verify()`]). A restore fills a database beside the one that it is to replace (`scratch`), which takes its
//! place in one transaction when all is verified (`place`): what goes wrong before leaves everything as it was.

mod bygone;
mod connection;
mod contents;
mod draft;
mod dump;
mod error;
mod file;
mod fill;
mod making;
mod manifest;
mod passage;
mod place;
mod program;
mod restore;
mod roles;
mod scratch;
mod swap;
mod tenant;
mod verify;

pub use connection::Connection;
pub use error::BackupError;
pub use file::BackupFile;
pub use making::{Destination, Made, Making, make};
pub use manifest::{AuditHead, Grant, Manifest, Rows, Setting, TableRows, TenantSummary};
pub use passage::abandoned_folders;
pub use program::Programs;
pub use restore::{Restore, Restored, restore};
pub use tenant::{RestoredTenant, restore_tenant};
pub use verify::{Comparison, Verification, verify, verify_surroundings};

/// How far a backup or a restore is.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Step {
    /// The file is read and held against its checksum.
    Checking { bytes: u64, of: u64 },
    /// So many bytes of the tables' are dumped; this table is next.
    Dumping { bytes: u64, of: u64, table: String },
    /// Rows are summed up.
    Summing { table: String },
    /// The file is written to the disk.
    Keeping,
    /// Roles that this server lacks are made.
    MakingRoles,
    /// So many objects of the dump are restored; this one is next.
    Filling { items: u64, of: u64, item: String },
    /// The planner's statistics are made.
    Analysing,
    /// What was restored is compared with what was there.
    Verifying { what: String },
    /// The tenant is taken over.
    Transferring { documents: i64, of: i64 },
    /// The restored database takes its place.
    Placing,
}
