//! Vector indexes: one partial HNSW for each tenant with many vectors, on the partition that it lives in.
//!
//! A smaller tenant is compared exactly, which is as fast and needs no upkeep. No tenant's vectors stand in the graph of
//! another, so that none can be crowded out.

use std::time::Duration;

use tokio_postgres::Client;

use crate::db::{DbError, OwnerTransaction};
use crate::identity::TenantId;

const VECTORS: &str = include_str!("../../sql/queries/maintenance/vectors.sql");
const NEXT_VECTORS: &str = include_str!("../../sql/queries/maintenance/next_vectors.sql");
const VECTOR_INDEX: &str = include_str!("../../sql/queries/maintenance/vector_index.sql");
const INDEX_PROGRESS: &str = include_str!("../../sql/queries/maintenance/index_progress.sql");

/// A tenant gets an index at this many vectors: about where an exact search takes as long as one by index
/// (`benches/README.md`).
pub const PROMOTE_AT_VECTORS: i64 = 2_000;
/// And loses it below this many: well below, so that a tenant near the bound is not rebuilt again and again.
const DEMOTE_BELOW_VECTORS: i64 = PROMOTE_AT_VECTORS / 2;
/// Memory for building an index: the graph of 50,000 vectors of 1,536 dimensions takes about 250 MB, and one that does
/// not fit is built several times slower.
const BUILD_MEMORY: &str = "1GB";

// ef_construction 400 takes a while longer to build than pgvector's own 64, and no longer to search: queries unlike the
// tenant's documents find .98 of the true ten where they found .79 (`benches/README.md`).

/// What was done about a tenant's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing had to be.
    None,
    /// It was made.
    Made,
    /// It was dropped.
    Dropped,
}

/// Makes or drops the tenant's index as its size demands. The caller holds [`lock::VECTORS`](super::lock::VECTORS), for
/// two builds on one partition would wait for each other. `observer` is a second
/// connection, which tells how far a build has come.
pub(super) async fn settle(
    client: &Client,
    observer: Option<&Client>,
    tenant_id: TenantId,
    chunk_count: i64,
) -> Result<Change, DbError> {
    let name = format!("hnsw_{}", tenant_id.as_uuid().simple());
    let Some(row) = client.query_opt(VECTOR_INDEX, &[&tenant_id, &name]).await? else {
        return Err(DbError::Other("a tenant without a partition".to_owned()));
    };
    let partition: String = row.try_get("partition")?;
    let is_valid: Option<bool> = row.try_get("is_valid")?;
    // A tenant without an index has no more vectors than chunks, so most are settled without counting.
    if is_valid.is_none() && chunk_count < PROMOTE_AT_VECTORS {
        return Ok(Change::None);
    }
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let counted = transaction.query(VECTORS, &[&tenant_id, &PROMOTE_AT_VECTORS]).await;
    let vectors: i64 = match transaction.end(counted).await?.first() {
        Some(row) => row.try_get("vectors")?,
        None => 0,
    };
    match is_valid {
        Some(true) if vectors >= DEMOTE_BELOW_VECTORS => Ok(Change::None),
        // Too few vectors now, or a build that was broken off.
        Some(_) if vectors < DEMOTE_BELOW_VECTORS => {
            as_owner(client, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
            Ok(Change::Dropped)
        }
        other if vectors >= PROMOTE_AT_VECTORS || other == Some(false) => {
            if other == Some(false) {
                as_owner(client, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
            }
            let build = build_statement(&name, &partition, "embedding", tenant_id);
            with_progress(client, observer, tenant_id, vectors, as_owner(client, &build)).await?;
            as_owner(client, &format!("ANALYZE {partition}")).await?;
            Ok(Change::Made)
        }
        _ => Ok(Change::None),
    }
}

/// Builds the index of a tenant's vectors of the next model, if it has many: before they are searched. Waits for other builds.
///
/// # Errors
/// Any [`DbError`].
pub(crate) async fn build_next_index(
    client: &Client,
    observer: Option<&Client>,
    tenant_id: TenantId,
) -> Result<(), DbError> {
    let transaction = OwnerTransaction::begin(client, tenant_id).await?;
    let counted = transaction.query(NEXT_VECTORS, &[&tenant_id, &PROMOTE_AT_VECTORS]).await;
    let vectors: i64 = transaction.end(counted).await?.first().map_or(Ok(0), |row| row.try_get("vectors"))?;
    if vectors < PROMOTE_AT_VECTORS {
        return Ok(());
    }
    let name = format!("hnsw_next_{}", tenant_id.as_uuid().simple());
    super::lock::take(client, super::lock::VECTORS).await?;
    let built = async {
        let Some(row) = client.query_opt(VECTOR_INDEX, &[&tenant_id, &name]).await? else {
            return Err(DbError::Other("a tenant without a partition".to_owned()));
        };
        let partition: String = row.try_get("partition")?;
        if row.try_get::<_, Option<bool>>("is_valid")? == Some(true) {
            return Ok(());
        }
        // A build that was broken off leaves its ruin.
        as_owner(client, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
        let build = build_statement(&name, &partition, "next_embedding", tenant_id);
        with_progress(client, observer, tenant_id, vectors, as_owner(client, &build)).await?;
        as_owner(client, &format!("ANALYZE {partition}")).await
    };
    let built = built.await;
    super::lock::release(client, super::lock::VECTORS).await?;
    built
}

/// Drops all indexes of the tenant's vectors. The caller holds [`lock::VECTORS`](super::lock::VECTORS).
///
/// # Errors
/// Any [`DbError`].
pub(crate) async fn drop_indexes(client: &Client, tenant_id: TenantId) -> Result<(), DbError> {
    for kind in ["hnsw", "hnsw_next"] {
        let name = format!("{kind}_{}", tenant_id.as_uuid().simple());
        as_owner(client, &format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")).await?;
    }
    Ok(())
}

fn build_statement(name: &str, partition: &str, column: &str, tenant_id: TenantId) -> String {
    format!(
        "CREATE INDEX CONCURRENTLY {name} ON {partition} USING hnsw ({column} halfvec_cosine_ops) WITH (m = 16, ef_construction = 400) WHERE tenant_id = '{tenant_id}'"
    )
}

/// One statement outside of a transaction (CONCURRENTLY allows none) as the schema's owner.
///
/// Names in it are made of a uuid and of a partition's name, never of anybody's text.
#[expect(
    clippy::disallowed_methods,
    reason = "CREATE INDEX CONCURRENTLY runs in no transaction and takes no parameters"
)]
async fn as_owner(client: &Client, statement: &str) -> Result<(), DbError> {
    client
        .batch_execute(&format!(
            "SET ROLE bailiwick_owner; SET statement_timeout = 0; SET maintenance_work_mem = '{BUILD_MEMORY}'"
        ))
        .await?;
    let done = client.batch_execute(statement).await;
    client.batch_execute("RESET maintenance_work_mem; RESET ROLE").await?;
    Ok(done?)
}

/// Waits for a build, telling the log every few seconds how far it is.
async fn with_progress(
    client: &Client,
    observer: Option<&Client>,
    tenant_id: TenantId,
    vectors: i64,
    build: impl Future<Output = Result<(), DbError>>,
) -> Result<(), DbError> {
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
    tracing::info!(tenant = %tenant_id, vectors, "making a vector index");
    let started = std::time::Instant::now();
    let mut build = std::pin::pin!(build);
    loop {
        tokio::select! {
            done = &mut build => {
                tracing::info!(tenant = %tenant_id, vectors, seconds = started.elapsed().as_secs(), ok = done.is_ok(), "vector index");
                return done;
            }
            () = tokio::time::sleep(Duration::from_secs(5)) => {
                let Some(observer) = observer else { continue };
                if let Ok(Some(row)) = observer.query_opt(INDEX_PROGRESS, &[&pid]).await {
                    let (phase, done) = (row.try_get::<_, String>("phase")?, row.try_get::<_, i64>("tuples_done")?);
                    tracing::info!(tenant = %tenant_id, %phase, done, of = vectors, "making a vector index");
                }
            }
        }
    }
}
