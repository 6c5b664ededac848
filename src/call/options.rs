use std::path::PathBuf;
use std::time::Duration;

use super::admission::AdmissionOptions;
use super::spool::DEFAULT_SPOOL_BYTES;
use crate::db::{Deadlines, PoolOptions, ReplicaOptions};

/// Bounds of calls.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// A call that takes longer is stopped. The database's own time-outs must be shorter.
    pub deadline: Duration,
    /// Time-outs that the database enforces.
    pub database: Deadlines,
    /// Connections for calls. The trail takes two more, the lease one.
    pub pool: PoolOptions,
    /// A replica for searches. It takes as many connections as calls and one more, which the primary does, too.
    pub replica: Option<ReplicaOptions>,
    /// Who is let in; by the number of connections if `None`.
    pub admission: Option<AdmissionOptions>,
    /// Folder for audit rows that the database cannot take; several processes may share it.
    pub spool: PathBuf,
    /// How much may wait there, in bytes.
    pub spool_bytes: u64,
}

impl CallOptions {
    /// Usual bounds, with that folder for the spool.
    #[must_use]
    pub fn new(spool: PathBuf) -> Self {
        Self {
            deadline: Duration::from_secs(10),
            database: Deadlines::default(),
            pool: PoolOptions::default(),
            replica: None,
            admission: None,
            spool,
            spool_bytes: DEFAULT_SPOOL_BYTES,
        }
    }
}

/// Whether calls can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Audit rows can be kept: without that no call is let in.
    pub can_record: bool,
    /// Bytes of audit rows on disk that wait for the database.
    pub spooled_bytes: u64,
    /// Bytes that the disk and its bound leave for more of them.
    pub spool_room_bytes: u64,
    /// The server is coming to its end.
    pub closing: bool,
}
