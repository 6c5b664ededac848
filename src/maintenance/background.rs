use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Config;

use super::pass::{Scope, run};
use crate::db::{DbError, admin};

/// Between two looks at what is due.
const INTERVAL: Duration = Duration::from_secs(2);
/// Monthly partitions and the operator's overview are looked after this often: hourly.
const HOURLY: u32 = 1_800;
/// After a failure, up to this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Looks after the indexes until the handle is aborted, on connections of its own. A failure is logged and tried again.
#[must_use]
pub fn spawn(config: Config) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut pause = INTERVAL;
        loop {
            if let Err(error) = look_after(&config, &mut pause).await {
                pause = (pause * 2).min(LONGEST_PAUSE);
                tracing::warn!(%error, retry_s = pause.as_secs(), "maintenance failed");
            }
            tokio::time::sleep(pause).await;
        }
    })
}

async fn look_after(config: &Config, pause: &mut Duration) -> Result<(), DbError> {
    let client = admin::connect(config).await?;
    let observer = admin::connect(config).await?;
    for round in 0_u32.. {
        if round.is_multiple_of(HOURLY) {
            admin::maintain_partitions(&client).await?;
            admin::refresh_statistics(&client).await?;
        }
        let report = run(&client, Some(&observer), Scope::Due, None).await?;
        *pause = INTERVAL;
        for tenant in report.tenants.iter().filter(|tenant| !tenant.busy) {
            tracing::info!(
                tenant = %tenant.slug, merged = tenant.merged_chunks, purged = tenant.purged_chunks,
                vector_index = tenant.vector_index.unwrap_or("as it was"), "index looked after"
            );
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Ok(())
}
