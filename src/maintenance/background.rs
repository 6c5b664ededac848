use std::fmt::Display;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Housekeeping;
use super::metering;
use super::pass::{Report, Scope, run, settle_vectors};
use crate::audit::{AuditError, Keeping, Sealer};
use crate::db::{DbError, Endpoint, admin};

/// Between two looks at what is due.
const INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at the calendar.
const HOUSE_EVERY: Duration = Duration::from_secs(60);
/// What is still wrong is told again after so many of them: hourly.
const TELL_AGAIN: u32 = 60;
/// After a failure, up to this long.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Between two looks at the vector indexes.
const VECTORS_EVERY: Duration = Duration::from_secs(60);

/// Between two passes over the audit trail.
const SEALS_EVERY: Duration = Duration::from_secs(5);

/// Looks after indexes and seals until the handle is aborted, on connections of its own. A failure is logged and tried again.
#[must_use]
pub fn spawn(endpoint: Endpoint, housekeeping: Housekeeping) -> JoinHandle<()> {
    let keeping = housekeeping.keeping.clone();
    tokio::spawn(async move {
        // Side by side, for a build may take minutes and nobody's postings or seals shall wait for it.
        tokio::join!(
            again_and_again("postings", || postings(endpoint.clone())),
            again_and_again("vectors", || vectors(endpoint.clone())),
            again_and_again(metering::SEALS, || seals(endpoint.clone(), keeping.clone())),
            again_and_again("house", || house(endpoint.clone(), housekeeping.clone())),
        );
    })
}

async fn again_and_again<E: Display, W: Future<Output = Result<(), E>>>(name: &'static str, work: impl Fn() -> W) {
    let mut pause = INTERVAL;
    loop {
        let started = std::time::Instant::now();
        if let Err(error) = work().await {
            // What went well for a while begins anew.
            pause = if started.elapsed() > LONGEST_PAUSE { INTERVAL } else { (pause * 2).min(LONGEST_PAUSE) };
            metering::failed(name);
            tracing::warn!(%error, work = name, retry_s = pause.as_secs(), "maintenance failed");
        }
        tokio::time::sleep(pause).await;
    }
}

async fn postings(endpoint: Endpoint) -> Result<(), DbError> {
    let client = admin::connect(&endpoint).await?;
    loop {
        tell(&run(&client, None, Scope::Due, None).await?);
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn house(endpoint: Endpoint, housekeeping: Housekeeping) -> Result<(), DbError> {
    let client = admin::connect(&endpoint).await?;
    let (mut strays, mut failures) = (Vec::new(), Vec::new());
    for round in 0_u32.. {
        let kept = housekeeping.pass(&client).await?;
        metering::kept(&kept);
        let is_due = round.is_multiple_of(TELL_AGAIN);
        if (is_due || kept.strays != strays) && !kept.strays.is_empty() {
            tracing::error!(
                rows = ?kept.strays,
                "rows have no partition for their month: a row's time is far from now, or partitions were not made in time"
            );
        }
        if is_due || kept.failures != failures {
            for (work, error) in &kept.failures {
                tracing::warn!(work, %error, "maintenance failed and is tried again");
            }
        }
        for purged in &kept.purged {
            tracing::info!(tenant = %purged.slug, rows = purged.rows.values().sum::<i64>(), "a deleted tenant was purged");
        }
        if let Some(retired) = &kept.retired {
            tracing::info!(partitions = ?retired.partitions, rows = retired.rows, "months of the audit trail were retired");
        }
        if let Some(retired) = &kept.retired_costs {
            tracing::info!(partitions = ?retired.partitions, rows = retired.rows, "months of costs were dropped");
        }
        (strays, failures) = (kept.strays, kept.failures);
        tokio::time::sleep(HOUSE_EVERY).await;
    }
    Ok(())
}

async fn vectors(endpoint: Endpoint) -> Result<(), DbError> {
    let (client, observer) = (admin::connect(&endpoint).await?, admin::connect(&endpoint).await?);
    loop {
        tokio::time::sleep(VECTORS_EVERY).await;
        tell(&settle_vectors(&client, Some(&observer)).await?);
    }
}

async fn seals(endpoint: Endpoint, keeping: Keeping) -> Result<(), AuditError> {
    let client = admin::connect(&endpoint).await?;
    let mut sealer = Sealer::new(keeping);
    loop {
        metering::sealed(sealer.pass(&client).await?);
        tokio::time::sleep(SEALS_EVERY).await;
    }
}

fn tell(report: &Report) {
    metering::done(report);
    for tenant in report.tenants.iter().filter(|tenant| !tenant.busy && tenant.error.is_none()) {
        tracing::info!(
            tenant = %tenant.slug, merged = tenant.merged_chunks, purged = tenant.purged_chunks,
            vector_index = tenant.vector_index.unwrap_or("as it was"), "index looked after"
        );
    }
}
