//! The chain's end, and how a seal is put behind it.

use tokio_postgres::Row;

use super::{Entry, Hash, Keeping, MerkleTree, Moment, Seal};
use crate::db::{DbError, OperatorTransaction};

const LAST_SEAL: &str = include_str!("../../sql/queries/audit/last_seal.sql");
const ADD_SEAL: &str = include_str!("../../sql/queries/audit/add_seal.sql");

/// What a new seal is made of.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    tree: MerkleTree,
    bytes: Vec<u8>,
    latest: Option<Moment>,
    count: i64,
}

impl Leaves {
    pub fn push(&mut self, entry: &Entry) {
        self.tree.push(entry.leaf_hash());
        self.bytes.extend_from_slice(&entry.to_bytes());
        self.latest = self.latest.max(Some(entry.timestamp));
        self.count += 1;
    }

    pub fn count(&self) -> i64 {
        self.count
    }
}

/// The last seal, without its leaves.
pub(super) async fn last_seal(transaction: &OperatorTransaction<'_>) -> Result<Option<Seal>, DbError> {
    transaction.query(LAST_SEAL, &[]).await?.first().map(Seal::read).transpose()
}

/// The seal that comes after `last` and covers the ids up to `last_id`.
pub(super) fn next_seal(
    last: Option<&Seal>,
    leaves: Leaves,
    last_id: i64,
    sealed_until: Moment,
    retained_from: Option<Moment>,
    keeping: &Keeping,
) -> Seal {
    let mut seal = Seal {
        seal_no: last.map_or(1, |last| last.seal_no + 1),
        first_id: last.map_or(1, |last| last.last_id + 1),
        last_id,
        row_count: leaves.count,
        latest_timestamp: leaves.latest,
        sealed_until,
        retained_from,
        merkle_root: leaves.tree.root(),
        previous_head: last.map_or(Hash::default(), |last| last.head),
        head: Hash::default(),
        key_id: keeping.key.as_ref().map(|key| key.key_id().to_owned()),
        signature: None,
        leaves: Some(leaves.bytes),
    };
    seal.head = seal.computed_head();
    seal.signature = keeping.key.as_ref().map(|key| key.sign(seal.head));
    seal
}

/// Writes it; returns the database's name, or `None` if somebody else wrote one of its number.
pub(super) async fn add(transaction: &OperatorTransaction<'_>, seal: &Seal) -> Result<Option<String>, DbError> {
    let rows = transaction
        .query(
            ADD_SEAL,
            &[
                &seal.seal_no,
                &seal.first_id,
                &seal.last_id,
                &seal.row_count,
                &seal.latest_timestamp,
                &seal.sealed_until,
                &seal.retained_from,
                &seal.merkle_root.0.as_slice(),
                &seal.previous_head.0.as_slice(),
                &seal.head.0.as_slice(),
                &seal.key_id,
                &seal.signature,
                &seal.leaves,
            ],
        )
        .await?;
    Ok(rows.first().map(|row: &Row| row.try_get("database")).transpose()?)
}

/// Whether this process may write the next seal: behind a signed seal an unsigned one would look like tampering.
pub(super) fn may_follow(last: Option<&Seal>, keeping: &Keeping) -> bool {
    keeping.key.is_some() || last.is_none_or(|last| last.key_id.is_none())
}

/// Tells the log of a new head, and appends it to the file outside. The chain stands without it, and the next head
/// covers this one, so a file that cannot be written stops nothing.
pub(super) async fn publish(keeping: &Keeping, database: String, seal: Seal) {
    tracing::info!(
        seal_no = seal.seal_no, rows = seal.row_count, head = %seal.head, sealed_until = %seal.sealed_until,
        "audit trail sealed"
    );
    let Some(heads) = keeping.heads.clone() else { return };
    let written = tokio::task::spawn_blocking(move || heads.append(&database, &seal)).await;
    match written {
        Ok(Err(error)) => tracing::error!(%error, "the head of a seal was not kept outside of the database"),
        Err(error) => tracing::error!(%error, "the head of a seal was not kept outside of the database"),
        Ok(Ok(())) => {}
    }
}
