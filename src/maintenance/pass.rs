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
    /// The merges and purges that have become worth doing: the background's choice.
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
    /// What went wrong, if something did. The other tenants were looked after all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
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

    fn is_due(&self) -> bool {
        self.unmerged_chunks >= self.merges_at() || self.dead_chunks >= self.purges_at()
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
    let mut candidates = candidates(client).await?;
    candidates.retain(|candidate| only.is_none_or(|only| only == candidate.tenant_id));
    let mut rows_moved = 0;
    for candidate in &candidates {
        let mut done = TenantReport::new(&candidate.slug);
        let worked = tenant(client, scope, candidate, &mut done).await;
        rows_moved += done.merged_chunks + done.purged_chunks;
        report.add(client, done, worked)?;
    }
    // Without it the planner takes the tables for empty, and dead rows pile up between two visits of autovacuum.
    if rows_moved > 0 && (scope != Scope::Due || rows_moved >= 1_000) {
        admin::vacuum_index(client).await?;
        admin::shrink_fresh_index(client).await?;
    }
    // Builds may take minutes, so they come when everybody's postings are merged.
    if scope != Scope::Due {
        lock::take(client, lock::VECTORS).await?;
        let settled = settle(client, observer, &candidates, &mut report).await;
        lock::release(client, lock::VECTORS).await?;
        settled?;
    }
    Ok(report)
}

/// Makes and drops vector indexes as the tenants' sizes demand; nothing if somebody else is at it.
///
/// # Errors
/// Any [`DbError`] that concerns more than one tenant.
pub async fn settle_vectors(client: &Client, observer: Option<&Client>) -> Result<Report, DbError> {
    let mut report = Report::default();
    if lock::try_take(client, lock::VECTORS).await? {
        let candidates = candidates(client).await?;
        let settled = settle(client, observer, &candidates, &mut report).await;
        lock::release(client, lock::VECTORS).await?;
        settled?;
    }
    Ok(report)
}

async fn settle(
    client: &Client,
    observer: Option<&Client>,
    candidates: &[Candidate],
    report: &mut Report,
) -> Result<(), DbError> {
    for candidate in candidates {
        let mut done = TenantReport::new(&candidate.slug);
        let settled = vectors::settle(client, observer, candidate.tenant_id, candidate.chunk_count).await;
        let settled = settled.map(|change| {
            done.vector_index = match change {
                Change::None => None,
                Change::Made => Some("made"),
                Change::Dropped => Some("dropped"),
            };
        });
        report.add(client, done, settled)?;
    }
    Ok(())
}

impl TenantReport {
    fn new(slug: &str) -> Self {
        Self {
            slug: slug.to_owned(),
            busy: false,
            rebuilt_chunks: 0,
            merged_chunks: 0,
            blocks_written: 0,
            purged_chunks: 0,
            vector_index: None,
            error: None,
        }
    }

    fn says_something(&self) -> bool {
        self.busy
            || self.error.is_some()
            || self.vector_index.is_some()
            || self.rebuilt_chunks > 0
            || self.merged_chunks + self.purged_chunks > 0
    }
}

impl Report {
    /// Whether something went wrong with a tenant.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.tenants.iter().any(|tenant| tenant.error.is_some())
    }

    /// Notes what was done for a tenant. One tenant's trouble is no other's, but without a connection there is no going on.
    fn add(&mut self, client: &Client, mut done: TenantReport, worked: Result<(), DbError>) -> Result<(), DbError> {
        if let Err(error) = worked {
            if client.is_closed() {
                return Err(error);
            }
            tracing::warn!(tenant = %done.slug, %error, "maintenance of a tenant failed");
            done.error = Some(error.to_string());
        }
        if !done.says_something() {
            return Ok(());
        }
        match self.tenants.iter_mut().find(|known| known.slug == done.slug) {
            Some(known) => {
                known.vector_index = known.vector_index.or(done.vector_index);
                known.error = known.error.take().or(done.error);
            }
            None => self.tenants.push(done),
        }
        Ok(())
    }
}

/// One merge of at most `limit` chunks, for whoever paces the work by itself; returns how many there were.
///
/// # Errors
/// Any [`DbError`].
pub async fn merge_step(client: &Client, tenant_id: TenantId, limit: i64) -> Result<usize, DbError> {
    lock::take(client, lock::of(tenant_id)).await?;
    let merged = merge::step(client, tenant_id, limit).await;
    lock::release(client, lock::of(tenant_id)).await?;
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
    scope: Scope,
    candidate: &Candidate,
    report: &mut TenantReport,
) -> Result<(), DbError> {
    let tenant_id = candidate.tenant_id;
    if scope == Scope::Rebuild {
        report.rebuilt_chunks = rebuild::run(client, tenant_id).await?;
    }
    if scope != Scope::Due {
        lock::take(client, lock::of(tenant_id)).await?;
    } else if !candidate.is_due() {
        return Ok(());
    } else if !lock::try_take(client, lock::of(tenant_id)).await? {
        report.busy = true;
        return Ok(());
    }
    let worked = work(client, scope, candidate, report).await;
    lock::release(client, lock::of(tenant_id)).await?;
    worked
}

async fn work(client: &Client, scope: Scope, candidate: &Candidate, report: &mut TenantReport) -> Result<(), DbError> {
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
    Ok(())
}
