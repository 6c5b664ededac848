//! Compares a tenant's word index with its documents: every posting, every length, every count.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use tokio_postgres::Client;

use super::lock;
use crate::db::{DbError, OwnerTransaction};
use crate::identity::TenantId;
use crate::search::postings::block::Block;
use crate::search::postings::{ChunkSet, Posting, TermVector};

const INDEX_FIGURES: &str = include_str!("../../sql/queries/maintenance/index_figures.sql");
const TOMBSTONES: &str = include_str!("../../sql/queries/maintenance/tombstones.sql");
const ALL_BLOCKS: &str = include_str!("../../sql/queries/maintenance/all_blocks.sql");
const FRESH: &str = include_str!("../../sql/queries/maintenance/fresh.sql");
const RECOUNT: &str = include_str!("../../sql/queries/maintenance/recount.sql");

/// Faults named one by one; beyond them only their number counts.
const MOST_NAMED: usize = 10;

/// What a check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct IndexReport {
    /// Chunks of the tenant.
    pub chunks: i64,
    /// Chunks whose postings are not merged yet.
    pub fresh_chunks: i64,
    /// Deleted chunks whose postings still stand in blocks.
    pub dead_chunks: i64,
    /// Blocks.
    pub blocks: i64,
    /// Postings in them, those of dead chunks too.
    pub postings: u64,
    /// How many faults there are.
    pub fault_count: usize,
    /// The first few, in words.
    pub faults: Vec<String>,
}

impl IndexReport {
    fn fault(&mut self, text: impl FnOnce() -> String) {
        self.fault_count += 1;
        if self.faults.len() < MOST_NAMED {
            self.faults.push(text());
        }
    }
}

/// A chunk's postings reduced to sums that do not hang on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    postings: u32,
    hash: u64,
}

impl Sum {
    fn add(&mut self, lexeme: &str, posting: &Posting) {
        let mut hasher = DefaultHasher::new();
        (lexeme, posting.ordinal, posting.tf, posting.length).hash(&mut hasher);
        self.postings += 1;
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

/// Checks one tenant, of one snapshot, while searches and writes go on. Maintenance of the tenant waits.
///
/// # Errors
/// Any [`DbError`]; a damaged block is a fault in the report and no error.
pub async fn check(client: &Client, tenant_id: TenantId) -> Result<IndexReport, DbError> {
    lock::take(client, lock::of(tenant_id)).await?;
    let checked = async {
        let transaction = OwnerTransaction::begin(client, tenant_id).await?;
        let work = compare(&transaction).await;
        transaction.end(work).await
    };
    let checked = checked.await;
    lock::release(client, lock::of(tenant_id)).await?;
    checked
}

async fn compare(transaction: &OwnerTransaction<'_>) -> Result<IndexReport, DbError> {
    transaction.read_one_snapshot().await?;
    let tenant_id = transaction.tenant_id();
    let mut report = IndexReport::default();
    let rows = transaction.query(INDEX_FIGURES, &[&tenant_id]).await?;
    let Some(figures) = rows.first() else { return Ok(report) };
    report.chunks = figures.try_get("chunk_count")?;
    report.fresh_chunks = figures.try_get("fresh_chunks")?;
    report.dead_chunks = figures.try_get("dead_chunks")?;
    report.blocks = figures.try_get("blocks")?;
    let (total_length, dead_by_count): (i64, i64) =
        (figures.try_get("total_length")?, figures.try_get("dead_by_count")?);
    if dead_by_count != report.dead_chunks {
        let dead = report.dead_chunks;
        report.fault(|| format!("{dead} tombstones stand, {dead_by_count} are counted"));
    }
    let mut indexed = Vec::new();
    add_blocks(transaction, &mut report, &mut indexed).await?;
    add_fresh(transaction, &mut indexed).await?;

    let (mut after, mut chunks, mut length) = (-1, 0_i64, 0_i64);
    loop {
        let rows = transaction.query(RECOUNT, &[&tenant_id, &after]).await?;
        for row in &rows {
            let chunk_no: i32 = row.try_get("chunk_no")?;
            let chunk_length: i32 = row.try_get("length")?;
            let mut wanted = Sum::default();
            for (lexeme, tf) in row.try_get::<_, TermVector<'_>>("terms")?.iter() {
                let ordinal = row.try_get("ordinal")?;
                wanted.add(lexeme, &Posting { chunk_no, ordinal, tf, length: chunk_length.unsigned_abs() });
            }
            let found = std::mem::take(at(&mut indexed, chunk_no));
            if found != wanted {
                report.fault(|| {
                    format!(
                        "chunk {chunk_no} has {} postings, or others than the {} it should have",
                        found.postings, wanted.postings
                    )
                });
            }
            (after, chunks, length) = (chunk_no, chunks + 1, length + i64::from(chunk_length));
        }
        if rows.is_empty() {
            break;
        }
    }
    for (chunk_no, left) in indexed.iter().enumerate().filter(|(_, left)| left.postings > 0) {
        report.fault(|| format!("chunk {chunk_no} has {} postings, and there is no such chunk", left.postings));
    }
    if (chunks, length) != (report.chunks, total_length) {
        let counted = report.chunks;
        report
            .fault(|| format!("{chunks} chunks of {length} terms are there, {counted} of {total_length} are counted"));
    }
    Ok(report)
}

async fn add_blocks(
    transaction: &OwnerTransaction<'_>,
    report: &mut IndexReport,
    indexed: &mut Vec<Sum>,
) -> Result<(), DbError> {
    let tenant_id = transaction.tenant_id();
    let mut dead = Vec::new();
    for row in transaction.query(TOMBSTONES, &[&tenant_id]).await? {
        dead.push(row.try_get::<_, i32>("chunk_no")?);
    }
    let dead: ChunkSet = dead.into_iter().collect();
    let mut key = (String::new(), -1);
    let mut last: Option<(String, i32)> = None;
    loop {
        let rows = transaction.query(ALL_BLOCKS, &[&tenant_id, &key.0, &key.1]).await?;
        for row in &rows {
            key = (row.try_get("first_lexeme")?, row.try_get("first_chunk_no")?);
            let entries = match Block::open(row.try_get("postings")?).and_then(|block| block.unpack()) {
                Ok(entries) => entries,
                Err(damaged) => {
                    report.fault(|| format!("block {key:?}: {damaged}"));
                    continue;
                }
            };
            let postings: usize = entries.iter().map(|(_, list)| list.len()).sum();
            report.postings += postings as u64;
            let counts: (i32, i32) = (row.try_get("lexeme_count")?, row.try_get("posting_count")?);
            if (usize::try_from(counts.0), usize::try_from(counts.1)) != (Ok(entries.len()), Ok(postings)) {
                report.fault(|| {
                    format!("block {key:?} holds {} lexemes and {postings} postings, not {counts:?}", entries.len())
                });
            }
            let first = entries.first().and_then(|(lexeme, list)| Some((lexeme.clone(), list.first()?.chunk_no)));
            if first.as_ref() != Some(&key) || last.as_ref().is_some_and(|last| *last >= key) {
                report.fault(|| format!("block {key:?} does not begin with its key, or overlaps the one before"));
            }
            for (lexeme, list) in entries {
                for posting in &list {
                    if !dead.contains(posting.chunk_no) {
                        at(indexed, posting.chunk_no).add(&lexeme, posting);
                    }
                }
                last = list.last().map(|posting| (lexeme, posting.chunk_no));
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

async fn add_fresh(transaction: &OwnerTransaction<'_>, indexed: &mut Vec<Sum>) -> Result<(), DbError> {
    for row in transaction.query(FRESH, &[&transaction.tenant_id(), &i64::MAX]).await? {
        let (chunk_no, length): (i32, i32) = (row.try_get("chunk_no")?, row.try_get("length")?);
        let ordinal = row.try_get("ordinal")?;
        for (lexeme, tf) in row.try_get::<_, TermVector<'_>>("terms")?.iter() {
            at(indexed, chunk_no).add(lexeme, &Posting { chunk_no, ordinal, tf, length: length.unsigned_abs() });
        }
    }
    Ok(())
}

/// The sum of a chunk; numbers are dense and not negative.
fn at(sums: &mut Vec<Sum>, chunk_no: i32) -> &mut Sum {
    let place = usize::try_from(chunk_no).unwrap_or_default();
    if sums.len() <= place {
        sums.resize(place + 1, Sum::default());
    }
    &mut sums[place]
}
