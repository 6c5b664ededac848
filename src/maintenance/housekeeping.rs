//! What is due by the calendar, of all tenants together, by one server at a time: the coming months' partitions, months that are no
//! longer kept, tenants that were deleted long enough ago, and the operator's overview.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio_postgres::Client;

use super::lock;
use crate::audit::{self, AuditError, Expectations, Keeping, Month, Retired, month_files};
use crate::configuration::{AuditArguments, RetentionArguments};
use crate::costs::retention::{self, RetentionError, RetiredCosts};
use crate::db::{DbError, admin};
use crate::tenants::purge::{self, Purged};

const MONTHS_DUE: &str = include_str!("../../sql/queries/administration/months_due.sql");
const DATABASE: &str = include_str!("../../sql/queries/audit/database.sql");

/// The overview is counted anew when it is older than this.
const STATISTICS_EVERY: Duration = Duration::from_secs(3_600);
/// What a purge waits for calls under way; they are few, and it comes again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to keep, and where to put what is not kept.
#[derive(Clone, Default)]
pub struct Housekeeping {
    /// How long.
    pub retention: RetentionArguments,
    /// Whose seals are believed before a month of the trail is dropped.
    pub audit: AuditArguments,
    /// What seals that a month was dropped.
    pub keeping: Keeping,
    /// The folder of our own PostgreSQL.
    pub data_dir: Option<PathBuf>,
    /// The day to go by, as 2026-08-01; the database's if `None`. No call goes by it.
    pub today: Option<String>,
}

/// What a pass did.
#[derive(Debug, Default, Serialize)]
pub struct Kept {
    /// Whether another server was at it, so that nothing was done here.
    pub busy: bool,
    /// Monthly partitions made.
    pub partitions: i32,
    /// Rows without a partition for their month, by table: there should be none.
    pub strays: Vec<(&'static str, i64)>,
    /// Tenants purged.
    pub purged: Vec<Purged>,
    /// Months of the trail that were dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
    /// Months of costs that were dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_costs: Option<RetiredCosts>,
    /// What went wrong, by kind of work; the rest was done all the same.
    pub failures: Vec<(&'static str, String)>,
}

impl Kept {
    /// Whether there was nothing to do, and nothing is to be told.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let Self { busy, partitions, strays, purged, retired, retired_costs, failures } = self;
        !busy
            && *partitions == 0
            && (strays.is_empty() && purged.is_empty() && failures.is_empty())
            && (retired.is_none() && retired_costs.is_none())
    }

    fn take<T, E: Display>(&mut self, work: &'static str, done: Result<T, E>) -> Option<T> {
        done.map_err(|error| self.failures.push((work, error.to_string()))).ok()
    }
}

impl Housekeeping {
    /// Does what is due.
    ///
    /// # Errors
    /// A [`DbError`] that keeps everything from being done.
    pub async fn pass(&self, client: &Client) -> Result<Kept, DbError> {
        let mut kept = Kept::default();
        if lock::try_take(client, lock::HOUSE).await? {
            self.locked(client, &mut kept).await;
            lock::release(client, lock::HOUSE).await?;
        } else {
            kept.busy = true;
        }
        kept.strays = admin::stray_rows(client).await?.into_iter().filter(|(_, rows)| *rows > 0).collect();
        Ok(kept)
    }

    async fn locked(&self, client: &Client, kept: &mut Kept) {
        let partitions = admin::maintain_partitions(client).await;
        kept.partitions = kept.take("partitions", partitions).unwrap_or_default();
        let refreshed = admin::refresh_stale_statistics(client, STATISTICS_EVERY).await;
        kept.take("statistics", refreshed);
        let retired = self.retire_trail(client).await;
        kept.retired = kept.take("retention of the trail", retired).flatten();
        let retired = self.retire_costs(client).await;
        kept.retired_costs = kept.take("retention of costs", retired).flatten();
        let due = purge::due(client, self.retention.purge_after_days).await;
        for (tenant_id, slug) in kept.take("purges", due).unwrap_or_default() {
            let purged = purge::purge(client, tenant_id, PATIENCE, |_, _| ()).await;
            let purged = purged.map_err(|error| format!("{slug}: {error}"));
            let purged = kept.take("purges", purged);
            kept.purged.extend(purged);
        }
    }

    async fn retire_trail(&self, client: &Client) -> Result<Option<Retired>, AuditError> {
        let (Some(months), Some(folder)) = (self.retention.keep_audit_months, &self.retention.retention_dir) else {
            return Ok(None);
        };
        let months = self.months_due(client, "audit_logs", months).await?;
        let Some(last) = months.last() else { return Ok(None) };
        let database = database(client).await?;
        let files =
            |month: Month| {
                month_files(folder, &format!("{database}-audit_logs-{month}"), "jsonl")
                    .map_err(|source| AuditError::File { doing: "read", path: folder.clone(), source })
            };
        let mut archives = Vec::new();
        for month in &months {
            // Those that an earlier try left are held against the trail like any other.
            let (mut there, free) = files(*month)?;
            if there.is_empty() {
                audit::export(client, *month, &free).await?;
                there.push(free);
            }
            archives.append(&mut there);
        }
        let data_dir = self.data_dir.as_deref();
        let expectations = Expectations {
            trusted: audit::trusted_keys(&self.audit, data_dir, &[])?,
            heads: audit::known_heads(client, &self.audit, data_dir).await?,
        };
        for _ in &months {
            match audit::retire(client, last.next(), &archives, &expectations, &self.keeping).await {
                // Calls that were told of once their month was written: they have a file of their own.
                Err(AuditError::Outgrown { month, .. }) => {
                    let (_, free) = files(month)?;
                    audit::export(client, month, &free).await?;
                    archives.push(free);
                }
                ended => return ended.map(Some),
            }
        }
        audit::retire(client, last.next(), &archives, &expectations, &self.keeping).await.map(Some)
    }

    async fn retire_costs(&self, client: &Client) -> Result<Option<RetiredCosts>, RetentionError> {
        let Some(months) = self.retention.keep_cost_months else { return Ok(None) };
        let months = self.months_due(client, "cost_tracking", months).await?;
        let Some(last) = months.last() else { return Ok(None) };
        let (folder, database) = (self.retention.retention_dir.as_deref(), database(client).await?);
        retention::retire(client, &months, last.next(), folder, &database).await.map(Some)
    }

    async fn months_due(&self, client: &Client, table: &str, keep: u16) -> Result<Vec<Month>, DbError> {
        let rows = admin::as_owner(client, MONTHS_DUE, &[&table, &i32::from(keep), &self.today]).await?;
        rows.iter().map(|row| row.try_get::<_, String>("month")?.parse().map_err(DbError::Other)).collect()
    }
}

async fn database(client: &Client) -> Result<String, DbError> {
    let rows = admin::as_owner(client, DATABASE, &[]).await?;
    rows.first().map_or(Ok(String::new()), |row| Ok(row.try_get("name")?))
}
