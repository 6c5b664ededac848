use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::hash::optional_bytes;
use super::{Hash, Moment};
use crate::db::DbError;

/// Begins what is hashed of a seal.
const DOMAIN: &[u8] = b"bailiwick audit seal v1\0";

/// A row of `audit_seals`. Its head covers every column but the signature (which is of the head) and the leaves (of
/// which the root is).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "columns of the same name")]
pub struct Seal {
    pub seal_no: i64,
    pub first_id: i64,
    pub last_id: i64,
    pub row_count: i64,
    pub latest_timestamp: Option<Moment>,
    pub sealed_until: Moment,
    pub retained_from: Option<Moment>,
    pub merkle_root: Hash,
    pub previous_head: Hash,
    pub head: Hash,
    pub key_id: Option<String>,
    #[serde(with = "optional_bytes")]
    pub signature: Option<Vec<u8>>,
    /// [`Entry`](super::Entry) after entry; `None` when all the rows are retired, or where they were not read.
    #[serde(with = "optional_bytes")]
    pub leaves: Option<Vec<u8>>,
}

impl Seal {
    /// The head that its columns make.
    #[must_use]
    pub fn computed_head(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix(DOMAIN);
        for number in [self.seal_no, self.first_id, self.last_id, self.row_count, self.sealed_until.micros()] {
            hash.update(number.to_be_bytes());
        }
        for moment in [self.latest_timestamp, self.retained_from] {
            hash.update([u8::from(moment.is_some())]);
            hash.update(moment.map_or(0, Moment::micros).to_be_bytes());
        }
        // Whose signature it will bear belongs to it, or one could be taken off unseen.
        let key_id = self.key_id.as_deref().unwrap_or_default();
        hash.update([u8::from(self.key_id.is_some())]);
        hash.update((key_id.len() as u64).to_be_bytes());
        hash.update(key_id);
        hash.update(self.merkle_root.0);
        hash.update(self.previous_head.0);
        Hash::of(hash)
    }

    pub(super) fn read(row: &Row) -> Result<Self, DbError> {
        let hash = |name: &str| -> Result<Hash, DbError> {
            let bytes: &[u8] = row.try_get(name)?;
            let bytes = bytes.try_into().map_err(|_| DbError::Other(format!("a seal's {name} is no hash")))?;
            Ok(Hash(bytes))
        };
        Ok(Self {
            seal_no: row.try_get("seal_no")?,
            first_id: row.try_get("first_id")?,
            last_id: row.try_get("last_id")?,
            row_count: row.try_get("row_count")?,
            latest_timestamp: row.try_get("latest_timestamp")?,
            sealed_until: row.try_get("sealed_until")?,
            retained_from: row.try_get("retained_from")?,
            merkle_root: hash("merkle_root")?,
            previous_head: hash("previous_head")?,
            head: hash("head")?,
            key_id: row.try_get("key_id")?,
            signature: row.try_get("signature")?,
            leaves: row.try_get("leaves")?,
        })
    }
}
