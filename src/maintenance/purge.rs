//! Clears the postings of deleted chunks out of the blocks, and fills blocks up again on the way.

use tokio_postgres::Client;

use super::merge::{keys, read, replace};
use super::refill::{Entries, Key};
use crate::db::{DbError, OwnerTransaction};
use crate::identity::TenantId;
use crate::search::postings::ChunkSet;
use crate::search::postings::block::pack;

const TOMBSTONES: &str = include_str!("../../sql/queries/maintenance/tombstones.sql");
const FORGET_TOMBSTONES: &str = include_str!("../../sql/queries/maintenance/forget_tombstones.sql");

/// Blocks read and written in one transaction.
const BLOCKS_AT_ONCE: usize = 256;

/// Removes the postings of every chunk that is dead by now, a bounded transaction after the other; returns how many
/// chunks those were. The caller holds the tenant's lock.
///
/// A block without a dead chunk's posting is as right as one with it, for the tombstone stands until all are clear.
pub(super) async fn run(client: &Client, tenant_id: TenantId) -> Result<usize, DbError> {
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let start = start(&transaction).await;
    let (dead, keys) = transaction.end(start).await?;
    if dead.is_empty() {
        return Ok(0);
    }
    let set: ChunkSet = dead.iter().copied().collect();
    for some in keys.chunks(BLOCKS_AT_ONCE) {
        let transaction = OwnerTransaction::begin(client, tenant_id).await?;
        let cleared = clear(&transaction, some, &set).await;
        transaction.end(cleared).await?;
    }
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let forgotten = transaction.query(FORGET_TOMBSTONES, &[&tenant_id, &dead]).await;
    transaction.end(forgotten).await?;
    Ok(dead.len())
}

async fn start(transaction: &OwnerTransaction<'_>) -> Result<(Vec<i32>, Vec<Key>), DbError> {
    let rows = transaction.query(TOMBSTONES, &[&transaction.tenant_id()]).await?;
    let dead: Result<Vec<i32>, DbError> = rows.iter().map(|row| Ok(row.try_get("chunk_no")?)).collect();
    Ok((dead?, keys(transaction).await?))
}

async fn clear(transaction: &OwnerTransaction<'_>, keys: &[Key], dead: &ChunkSet) -> Result<(), DbError> {
    let keys: Vec<&Key> = keys.iter().collect();
    let mut live = Entries::new();
    let mut is_changed = false;
    for (_, entries) in read(transaction, &keys).await? {
        for (lexeme, mut postings) in entries {
            let before = postings.len();
            postings.retain(|posting| !dead.contains(posting.chunk_no));
            is_changed |= postings.len() < before;
            match live.last_mut() {
                _ if postings.is_empty() => {}
                // A lexeme that goes on from the block before.
                Some((last, list)) if *last == lexeme => list.extend(postings),
                _ => live.push((lexeme, postings)),
            }
        }
    }
    if is_changed {
        replace(transaction, &keys, &pack(&live)).await?;
    }
    Ok(())
}
