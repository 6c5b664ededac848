use serde::Serialize;
use tokio_postgres::Client;

use super::vectors::Change;
use super::{lock, merge, purge, rebuild, vectors};
use crate::db::{DbError, admin};
use crate::identity::TenantId;

const CANDIDATES: &str = include_str!("../../sql/queries/maintenance/candidates.sql");

/// Fresh chunks are left alone up to here: a search reads so many in well under a millisecond.
const FEWEST_FRESH: i64 = 256;
/// However large the tenant, more than this many are merged.
const MOST_FRESH: i64 = 1_024;
/// Chunks merged in one transaction, unless the tenant's index is so large that rewriting it for so few would not pay.
const STEP: i64 = 8_192;
const LARGEST_STEP: i64 = 32_768;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What has become worth doing: the background's choice.
    Due,
    /// Everything that can be done: fresh postings down to the last, every tombstone.
    Everything,
    /// Everything, after making the indexes anew from the documents.
    Rebuild,
}

/// What was done for a tenant.
#[derive(Debug, Clone, Serialize)]
pub struct TenantReport {
    /// Its short name.
    pub slug: String,
    /// Whether somebody else was at it, so that nothing was done here.
    pub busy: bool,
    /// Chunks whose postings were made anew.
    pub rebuilt_chunks: i64,
    /// Chunks merged into blocks.
    pub merged_chunks: usize,
    /// Blocks written for them.
    pub blocks_written: usize,
    /// Deleted chunks cleared away.
    pub purged_chunks: usize,
    /// `made`, `dropped` or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_index: Option<&'static str>,
}

/// What a pass did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Monthly partitions made.
    pub partitions: i32,
    /// The tenants for which something was done.
    pub tenants: Vec<TenantReport>,
}

struct Candidate {
    tenant_id: TenantId,
    slug: String,
    chunk_count: i64,
    unmerged_chunks: i64,
    dead_chunks: i64,
}

impl Candidate {
    fn merges_at(&self) -> i64 {
        (self.chunk_count / 128).clamp(FEWEST_FRESH, MOST_FRESH)
    }

    fn purges_at(&self) -> i64 {
        (self.chunk_count / 32).clamp(FEWEST_FRESH, 8 * MOST_FRESH)
    }
}

/// One pass over the tenants, or over the one named.
///
/// # Errors
/// Any [`DbError`]; what was done before it stays done.
pub async fn run(
    client: &Client,
    observer: Option<&Client>,
    scope: Scope,
    only: Option<TenantId>,
) -> Result<Report, DbError> {
    let mut report = Report::default();
    if scope != Scope::Due {
        report.partitions = admin::maintain_partitions(client).await?;
        admin::refresh_statistics(client).await?;
    }
    let mut rows_moved = 0;
    for candidate in candidates(client).await? {
        if only.is_some_and(|only| only != candidate.tenant_id) {
            continue;
        }
        let done = tenant(client, observer, scope, &candidate).await?;
        rows_moved += done.merged_chunks + done.purged_chunks;
        let is_work = done.busy || done.merged_chunks + done.purged_chunks > 0 || done.vector_index.is_some();
        if is_work || done.rebuilt_chunks > 0 {
            report.tenants.push(done);
        }
    }
    // Without it the planner takes the tables for empty, and dead rows pile up between two visits of autovacuum.
    if rows_moved > 0 && (scope != Scope::Due || rows_moved >= 1_000) {
        admin::vacuum_index(client).await?;
    }
    Ok(report)
}

/// One merge of at most `limit` chunks, for whoever paces the work by itself; returns how many there were.
///
/// # Errors
/// Any [`DbError`].
pub async fn merge_step(client: &Client, tenant_id: TenantId, limit: i64) -> Result<usize, DbError> {
    lock::take(client, tenant_id).await?;
    let merged = merge::step(client, tenant_id, limit).await;
    lock::release(client, tenant_id).await?;
    Ok(merged?.chunks)
}

async fn candidates(client: &Client) -> Result<Vec<Candidate>, DbError> {
    let rows = admin::as_owner(client, CANDIDATES, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Candidate {
                tenant_id: TenantId::from(row.try_get::<_, uuid::Uuid>("tenant_id")?),
                slug: row.try_get("slug")?,
                chunk_count: row.try_get("chunk_count")?,
                unmerged_chunks: row.try_get("unmerged_chunks")?,
                dead_chunks: row.try_get("dead_chunks")?,
            })
        })
        .collect()
}

async fn tenant(
    client: &Client,
    observer: Option<&Client>,
    scope: Scope,
    candidate: &Candidate,
) -> Result<TenantReport, DbError> {
    let mut report = TenantReport {
        slug: candidate.slug.clone(),
        busy: false,
        rebuilt_chunks: 0,
        merged_chunks: 0,
        blocks_written: 0,
        purged_chunks: 0,
        vector_index: None,
    };
    let tenant_id = candidate.tenant_id;
    if scope == Scope::Rebuild {
        report.rebuilt_chunks = rebuild::run(client, tenant_id).await?;
    }
    if scope == Scope::Due {
        if !lock::try_take(client, tenant_id).await? {
            report.busy = true;
            return Ok(report);
        }
    } else {
        lock::take(client, tenant_id).await?;
    }
    let worked = work(client, observer, scope, candidate, &mut report).await;
    lock::release(client, tenant_id).await?;
    worked.map(|()| report)
}

async fn work(
    client: &Client,
    observer: Option<&Client>,
    scope: Scope,
    candidate: &Candidate,
    report: &mut TenantReport,
) -> Result<(), DbError> {
    let all = scope != Scope::Due;
    let tenant_id = candidate.tenant_id;
    if all || candidate.unmerged_chunks >= candidate.merges_at() {
        loop {
            // An index that is large already is rewritten for many at once.
            let merged_before = candidate.chunk_count - candidate.unmerged_chunks.max(0);
            let merged_so_far = merged_before.max(0) + i64::try_from(report.merged_chunks).unwrap_or(i64::MAX);
            let limit = (merged_so_far / 4).clamp(STEP, LARGEST_STEP);
            let merged = merge::step(client, tenant_id, limit).await?;
            report.merged_chunks += merged.chunks;
            report.blocks_written += merged.blocks_written;
            if i64::try_from(merged.chunks).unwrap_or(i64::MAX) < limit {
                break;
            }
            // So that the next step's blocks take the room of those that this one replaced.
            admin::vacuum_index(client).await?;
        }
    }
    if all || candidate.dead_chunks >= candidate.purges_at() {
        report.purged_chunks = purge::run(client, tenant_id).await?;
    }
    report.vector_index = match vectors::settle(client, observer, tenant_id, candidate.chunk_count).await? {
        Change::None => None,
        Change::Made => Some("made"),
        Change::Dropped => Some("dropped"),
    };
    Ok(())
}
