use super::System;
use crate::db::DbError;

const UPKEEP_BACKLOG: &str = include_str!("../../../sql/queries/system/upkeep_backlog.sql");

/// What waits for upkeep, of all tenants together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// For how many seconds the oldest audit row that is not sealed has been there; 0 if all are sealed.
    pub unsealed_s: f64,
    /// Rows of the trail without a partition for their month; 10000 stand for more.
    pub stray_audit_logs: i64,
    /// Rows of costs without one, likewise.
    pub stray_costs: i64,
    /// Chunks whose postings wait to be merged.
    pub unmerged_chunks: i64,
    /// Of the next three months, those whose partitions are there.
    pub months_ahead: i64,
}

impl System {
    /// What waits for upkeep, whoever does it.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn upkeep_backlog(&self) -> Result<Backlog, DbError> {
        let row = self.query_one(UPKEEP_BACKLOG, &[]).await?;
        Ok(Backlog {
            unsealed_s: row.try_get("unsealed_s")?,
            stray_audit_logs: row.try_get("stray_audit_logs")?,
            stray_costs: row.try_get("stray_costs")?,
            unmerged_chunks: row.try_get("unmerged_chunks")?,
            months_ahead: row.try_get("months_ahead")?,
        })
    }
}
