//! Moves fresh postings into blocks.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio_postgres::Client;

use super::refill::{Entries, Key, merged, route};
use crate::db::{DbError, OwnerTransaction};
use crate::identity::TenantId;
use crate::search::postings::block::{Block, Packed, pack};
use crate::search::postings::{Posting, TermVector};

const FRESH: &str = include_str!("../../sql/queries/maintenance/fresh.sql");
const BLOCK_KEYS: &str = include_str!("../../sql/queries/maintenance/block_keys.sql");
const BLOCKS: &str = include_str!("../../sql/queries/maintenance/blocks.sql");
const REPLACE_BLOCKS: &str = include_str!("../../sql/queries/maintenance/replace_blocks.sql");
const NOTE_LENGTHS: &str = include_str!("../../sql/queries/maintenance/note_lengths.sql");
const LOCK_FRESH: &str = include_str!("../../sql/queries/maintenance/lock_fresh.sql");
const TAKE_FRESH: &str = include_str!("../../sql/queries/maintenance/take_fresh.sql");
const BURY: &str = include_str!("../../sql/queries/maintenance/bury.sql");
const NOTE_MERGE: &str = include_str!("../../sql/queries/maintenance/note_merge.sql");

/// Blocks read and written at once: a bound of memory, about 1 MB packed.
const BLOCKS_AT_ONCE: usize = 256;
/// How long to wait in all for transactions that are just deleting chunks of the step.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a step merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Merged {
    pub chunks: usize,
    pub blocks_written: usize,
}

/// Merges the tenant's oldest fresh chunks, `limit` at most, in one transaction. The caller holds the tenant's lock.
pub(super) async fn step(client: &Client, tenant_id: TenantId, limit: i64) -> Result<Merged, DbError> {
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let work = work(&transaction, limit).await;
    transaction.end(work).await
}

async fn work(transaction: &OwnerTransaction<'_>, limit: i64) -> Result<Merged, DbError> {
    let tenant_id = transaction.tenant_id();
    let rows = transaction.query(FRESH, &[&tenant_id, &limit]).await?;
    let (mut chunk_nos, mut lengths) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut new: BTreeMap<String, Vec<Posting>> = BTreeMap::new();
    for row in &rows {
        let (chunk_no, length): (i32, i32) = (row.try_get("chunk_no")?, row.try_get("length")?);
        let ordinal = row.try_get("ordinal")?;
        chunk_nos.push(chunk_no);
        lengths.push(length);
        for (lexeme, tf) in row.try_get::<_, TermVector<'_>>("terms")?.iter() {
            let posting = Posting { chunk_no, ordinal, tf, length: length.unsigned_abs() };
            match new.get_mut(lexeme) {
                Some(postings) => postings.push(posting),
                None => drop(new.insert(lexeme.to_owned(), vec![posting])),
            }
        }
    }
    let Some(last) = chunk_nos.last() else { return Ok(Merged::default()) };
    drop(rows);

    let keys: Vec<Key> = keys(transaction).await?;
    let mut blocks_written = 0;
    let mut routed = route(&keys, new);
    while !routed.is_empty() {
        let some = routed.split_off(routed.len().saturating_sub(BLOCKS_AT_ONCE));
        blocks_written += refill(transaction, &keys, some).await?;
    }
    transaction.query(NOTE_LENGTHS, &[&tenant_id, &chunk_nos, &lengths]).await?;

    let dead = take(transaction, &chunk_nos).await?;
    if !dead.is_empty() {
        transaction.query(BURY, &[&tenant_id, &dead]).await?;
    }
    let buried = i64::try_from(dead.len()).unwrap_or_default();
    transaction.query(NOTE_MERGE, &[&tenant_id, last, &buried]).await?;
    Ok(Merged { chunks: chunk_nos.len(), blocks_written })
}

/// The keys of the tenant's blocks, in order: of a million documents some hundred thousand, so a row at a time.
pub(super) async fn keys(transaction: &OwnerTransaction<'_>) -> Result<Vec<Key>, DbError> {
    let mut rows = pin!(transaction.stream(BLOCK_KEYS, &[&transaction.tenant_id()]).await?);
    let mut keys = Vec::new();
    while let Some(row) = rows.try_next().await? {
        keys.push((row.try_get("first_lexeme")?, row.try_get("first_chunk_no")?));
    }
    Ok(keys)
}

/// Reads the blocks with these keys, in order of key.
pub(super) async fn read(transaction: &OwnerTransaction<'_>, keys: &[&Key]) -> Result<Vec<(Key, Entries)>, DbError> {
    let lexemes: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
    let chunk_nos: Vec<i32> = keys.iter().map(|key| key.1).collect();
    let rows = transaction.query(BLOCKS, &[&transaction.tenant_id(), &lexemes, &chunk_nos]).await?;
    rows.iter()
        .map(|row| {
            let key = (row.try_get("first_lexeme")?, row.try_get("first_chunk_no")?);
            Ok((key, Block::open(row.try_get("postings")?)?.unpack()?))
        })
        .collect()
}

/// Puts blocks in the place of those with the old keys.
pub(super) async fn replace(transaction: &OwnerTransaction<'_>, old: &[&Key], new: &[Packed]) -> Result<(), DbError> {
    // A key that stays is changed in place and not among those that go.
    let stays = |key: &Key| new.iter().any(|block| block.first_chunk_no == key.1 && block.first_lexeme == key.0);
    let gone: Vec<&&Key> = old.iter().filter(|key| !stays(key)).collect();
    let gone_lexemes: Vec<&str> = gone.iter().map(|key| key.0.as_str()).collect();
    let gone_chunk_nos: Vec<i32> = gone.iter().map(|key| key.1).collect();
    let lexemes: Vec<&str> = new.iter().map(|block| block.first_lexeme.as_str()).collect();
    let chunk_nos: Vec<i32> = new.iter().map(|block| block.first_chunk_no).collect();
    // A block of some thousand bytes holds no more than that of either.
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let lexeme_counts: Vec<i32> = new.iter().map(|block| count(block.lexeme_count)).collect();
    let counts: Vec<i32> = new.iter().map(|block| count(block.posting_count)).collect();
    let bytes: Vec<&[u8]> = new.iter().map(|block| block.bytes.as_slice()).collect();
    let tenant_id = transaction.tenant_id();
    let parameters: [crate::db::Parameter<'_>; 8] =
        [&tenant_id, &gone_lexemes, &gone_chunk_nos, &lexemes, &chunk_nos, &lexeme_counts, &counts, &bytes];
    transaction.query(REPLACE_BLOCKS, &parameters).await?;
    Ok(())
}

async fn refill(
    transaction: &OwnerTransaction<'_>,
    keys: &[Key],
    routed: Vec<(usize, Entries)>,
) -> Result<usize, DbError> {
    let wanted: Vec<&Key> = routed.iter().filter_map(|(at, _)| keys.get(*at)).collect();
    let mut old: BTreeMap<Key, Entries> = read(transaction, &wanted).await?.into_iter().collect();
    let mut packed = Vec::new();
    for (at, new) in routed {
        let entries = match keys.get(at) {
            Some(key) => old.remove(key).ok_or_else(|| DbError::Other("a posting block is gone".to_owned()))?,
            None => Entries::new(),
        };
        packed.extend(pack(&merged(entries, new)));
    }
    replace(transaction, &wanted, &packed).await?;
    Ok(packed.len())
}

/// Deletes the fresh rows that were merged; returns the chunks that were deleted while they were.
///
/// A transaction that is just deleting one of them decides whether it is alive, so it is waited for, but with no lock in
/// hand: it may itself want a row of ours.
async fn take(transaction: &OwnerTransaction<'_>, chunk_nos: &Vec<i32>) -> Result<Vec<i32>, DbError> {
    let tenant_id = transaction.tenant_id();
    let started = std::time::Instant::now();
    loop {
        transaction.savepoint().await?;
        let rows = transaction.query(LOCK_FRESH, &[&tenant_id, chunk_nos]).await?;
        let row = rows.first().ok_or_else(|| DbError::Other("no count of fresh rows".to_owned()))?;
        if row.try_get::<_, i64>("standing")? == row.try_get::<_, i64>("locked")? {
            break;
        }
        transaction.back_to_savepoint().await?;
        if started.elapsed() > PATIENCE {
            return Err(DbError::TimedOut("chunks of the merge are being deleted".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut taken = Vec::with_capacity(chunk_nos.len());
    for row in transaction.query(TAKE_FRESH, &[&tenant_id, chunk_nos]).await? {
        taken.push(row.try_get::<_, i32>("chunk_no")?);
    }
    taken.sort_unstable();
    Ok(chunk_nos.iter().copied().filter(|chunk_no| taken.binary_search(chunk_no).is_err()).collect())
}
