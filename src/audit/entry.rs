use sha2::{Digest, Sha256};

use super::{Hash, Moment};

/// A row as a leaf of a seal's tree: what names it, and the hash of the rest.
///
/// As bytes: id and timestamp (microseconds since 2000), both big-endian, then the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The row's id.
    pub id: i64,
    /// When its call began.
    pub timestamp: Moment,
    /// Hash of all its other columns.
    pub body_hash: Hash,
}

impl Entry {
    /// Bytes of one entry.
    pub const LENGTH: usize = 48;

    /// As bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.timestamp.micros().to_be_bytes());
        bytes[16..].copy_from_slice(&self.body_hash.0);
        bytes
    }

    /// From bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Self {
        let (mut id, mut timestamp, mut body_hash) = ([0; 8], [0; 8], [0; 32]);
        id.copy_from_slice(&bytes[..8]);
        timestamp.copy_from_slice(&bytes[8..16]);
        body_hash.copy_from_slice(&bytes[16..]);
        Self {
            id: i64::from_be_bytes(id),
            timestamp: Moment::from_micros(i64::from_be_bytes(timestamp)),
            body_hash: Hash(body_hash),
        }
    }

    /// The leaf's hash, told from that of a node by its first byte (RFC 9162, section 2.1.1).
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        Hash::of(Sha256::new_with_prefix([0]).chain_update(self.to_bytes()))
    }
}

/// The entries that lie behind each other in these bytes; `None` if they are of another length.
pub(super) fn entries(leaves: &[u8]) -> Option<impl Iterator<Item = Entry>> {
    let (whole, rest) = leaves.as_chunks::<{ Entry::LENGTH }>();
    rest.is_empty().then(|| whole.iter().map(Entry::from_bytes))
}
