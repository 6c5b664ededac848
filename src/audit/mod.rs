//! Tamper evidence of the audit trail: seals over its rows, and the checks that find what was changed behind them.
//!
//! A seal is a Merkle root over the rows of a range of ids, chained to the seal before it by its head, signed where
//! there is a key; each head is kept outside of the database too. Everything here works over an administrator's
//! connection and for all tenants together. What it cannot show: rows that a superuser removes before they are sealed
//! (some seconds), and, without a key and without a head kept elsewhere, a chain that was made anew as a whole.

mod archive;
mod chain;
mod cut;
mod entry;
mod error;
mod foothold;
mod hash;
mod heads;
mod ids;
mod keeping;
mod key;
mod merkle;
mod moment;
mod month;
mod month_files;
mod overdue;
mod retire;
mod row;
mod seal;
mod sealer;
mod verify;

pub use archive::{Counts, export};
pub use entry::Entry;
pub use error::AuditError;
pub use hash::Hash;
pub use heads::{HeadsFile, KnownHead};
pub use keeping::{Keeping, kept_heads, known_heads, set_heads_aside, trusted_keys};
pub use key::{SealKey, TrustedKeys};
pub use merkle::MerkleTree;
pub use moment::Moment;
pub use month::Month;
pub(crate) use month_files::month_files;
pub use overdue::overdue_rows;
pub use retire::{Retired, retire};
pub use row::AuditRow;
pub use seal::Seal;
pub use sealer::{Sealed, Sealer};
pub use verify::{
    ArchiveReport, BadRow, Expectations, Fault, FaultKind, Findings, Verification, check_archive, verify,
};
