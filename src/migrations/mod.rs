//! The schema's migrations: embedded in the binary, run under a lock, one transaction each.
//!
//! The files are golang-migrate's (`NNNNNN_name.up.sql` and `.down.sql`), and so is the table that
//! says which version the schema is at, so its own `migrate` may be used instead at any time. Beside
//! it we keep a history with checksums, to notice a migration that was edited after it was applied.
//!
//! - `files`: names and texts, parsed and validated into [`Migrations`].
//! - `state`: what the database says; `refuse`: when that forbids any change.
//! - `runner`: up and down; `step` is one migration, `lock` keeps runners apart.
//! - `status`: the report for people; `pending`: the short answer for the server.
//! - `init`: the whole schema as one file, for `psql`; `roles`: what of it a managed service's administrator does by hand.
//!
//! This is one of the few doors to the database besides the tenants' one: it needs a connection of
//! an administrator, straight to the server (a session lock does not survive a transaction pooler).

mod error;
mod failure;
mod files;
mod init;
mod lock;
mod lock_key;
mod name;
mod pending;
mod refuse;
mod roles;
mod runner;
mod state;
mod status;
mod step;

pub use error::{LockHolder, MigrationError};
pub use failure::FailedStatement;
pub use files::{FileProblem, InvalidFiles, Migration, Migrations};
pub use init::init_sql;
pub use name::Direction;
pub use pending::{Pending, pending};
pub use roles::roles_sql;
pub use runner::{Applied, Progress, RunOptions, Runner};
pub use status::{Checksum, Entry, EntryState, Status, UnknownMigration, status};
