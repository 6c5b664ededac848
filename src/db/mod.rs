//! The database, behind two doors.
//!
//! [`Door`] is the only way to a tenant's rows: it hands out [`TenantTransaction`]s. [`System`] is the second door, for
//! what happens before there is a tenant (start-up checks, looking a caller up); it never touches tenant tables.
//! Administration (migrations, tenants) connects by [`admin`] with a role of its own. Pool and client stay private to
//! this module: clippy's `disallowed-methods` keeps everybody else out.

pub mod admin;
mod connection;
mod context;
mod door;
mod endpoint;
mod error;
mod identity;
mod intent;
mod lease;
mod left_open;
mod listener;
mod operator;
mod owner;
mod pool;
mod powers;
mod reader;
mod replica;
mod sessions;
mod system;
mod tls;
mod tls_checks;
mod types;
mod ways;
mod whole;

pub use context::{Deadlines, TenantState, TenantStatus};
pub use door::{Door, TenantTransaction};
pub use endpoint::Endpoint;
pub use error::DbError;
pub use identity::DatabaseIdentity;
pub use intent::Intent;
pub use lease::Lease;
pub use listener::Listener;
pub use operator::OperatorTransaction;
pub use owner::OwnerTransaction;
pub use pool::{Pool, PoolOptions, PoolStatus};
pub(crate) use powers::examine_application;
pub use reader::TenantReader;
pub use replica::{Aside, Chance, DEFAULT_MAX_LAG, Reading, Replica, ReplicaOptions, examine_replica};
pub(crate) use sessions::sessions_soon;
pub use sessions::{Sessions, is_same_database, sessions};
pub use system::{Backlog, ResolvedTenant, StartupError, System, WalArchive};
pub use tls::{Tls, TlsCheck, TlsError, TlsRoots, TlsSettings};
pub use whole::WholeSnapshot;

/// A parameter of a statement, borrowed for the call.
pub type Parameter<'a> = &'a (dyn tokio_postgres::types::ToSql + Sync);
