//! Makes a tenant's index anew from its documents.

use tokio_postgres::Client;

use super::lock;
use crate::db::{DbError, OwnerTransaction};
use crate::identity::TenantId;

const HOLD_WRITERS: &str = include_str!("../../sql/queries/maintenance/hold_writers.sql");
const DROP_STRAYS: &str = include_str!("../../sql/queries/maintenance/drop_strays.sql");
const REBUILD: &str = include_str!("../../sql/queries/maintenance/rebuild.sql");

/// Throws away the tenant's postings and indexes its documents' text again, all of it fresh, in one transaction: searches
/// see the old index or the new one, and writers wait. Returns the number of chunks.
pub(super) async fn run(client: &Client, tenant_id: TenantId) -> Result<i64, DbError> {
    lock::take(client, lock::of(tenant_id)).await?;
    let rebuilt = async {
        let transaction = OwnerTransaction::begin(client, tenant_id).await?;
        let work = work(&transaction).await;
        transaction.end(work).await
    };
    let rebuilt = rebuilt.await;
    lock::release(client, lock::of(tenant_id)).await?;
    rebuilt
}

async fn work(transaction: &OwnerTransaction<'_>) -> Result<i64, DbError> {
    let tenant_id = transaction.tenant_id();
    transaction.query(HOLD_WRITERS, &[&tenant_id]).await?;
    transaction.query(DROP_STRAYS, &[&tenant_id]).await?;
    let rows = transaction.query(REBUILD, &[&tenant_id]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.try_get("chunk_count")?))
}
