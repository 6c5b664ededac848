//! Who is told when spending comes near a limit or reaches it: the trail, the log, the figures, and a webhook if there is one.
//!
//! `budget_alerts` holds one row for each crossing, written by the transaction that crossed. Any server tells it, once: it claims the
//! row for a while, and what a dead one had claimed is taken up by another. A webhook that does not take it is tried until the period is
//! over, hourly in the end; that it was given up then is told by the log and a figure.

mod announce;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use rust_decimal::Decimal;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use webhook::{Webhook, WebhookError};

use self::announce::{Announce, DEADLINE};
use crate::call::Calls;
use crate::db::DbError;
use crate::identity::{Caller, Scopes, TenantId, UserId};

const CLAIM: &str = include_str!("../../../sql/queries/costs/claim_alert.sql");
const GIVE_UP: &str = include_str!("../../../sql/queries/costs/give_up_alert.sql");
const DELIVER: &str = include_str!("../../../sql/queries/costs/deliver_alert.sql");
/// Between two looks.
const POLL: Duration = Duration::from_secs(5);
/// Posts to the webhook under way at once.
const DELIVERIES: usize = 8;

/// A limit that was crossed.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// Whose limit.
    pub tenant_id: TenantId,
    /// The tenant's short name.
    pub tenant: String,
    /// `day` or `month`.
    pub period: String,
    /// The period's first day, in UTC.
    pub starts: String,
    /// The user whose own limit it is; `None` for the tenant's.
    pub user_id: Option<String>,
    /// `WARNING` or `EXCEEDED`.
    pub level: String,
    /// The limit.
    pub limit_usd: Decimal,
    /// Spent by then.
    pub spent_usd: Decimal,
    /// When it was crossed.
    pub raised_at: Timestamp,
    /// How often it was tried, with this time.
    pub attempts: i32,
    /// Whether its time is over, so that it is not tried again.
    pub is_last: bool,
}

/// Tells alerts until it is dropped or the calls are closed.
pub struct Alerts(JoinHandle<()>);

impl Drop for Alerts {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Alerts {
    /// Starts to tell whatever alert is raised.
    #[must_use]
    pub fn start(calls: &Calls, webhook: Option<Webhook>) -> Self {
        let teller = Teller { calls: calls.clone(), webhook: webhook.map(Arc::new) };
        Self(tokio::spawn(async move {
            let telling = async {
                loop {
                    if let Err(error) = teller.tell_all().await {
                        tracing::warn!(%error, "budget alerts wait to be told");
                    }
                    tokio::time::sleep(POLL).await;
                }
            };
            tokio::select! {
                () = telling => {}
                () = teller.calls.closing() => {}
            }
        }))
    }
}

struct Teller {
    calls: Calls,
    webhook: Option<Arc<Webhook>>,
}

impl Teller {
    /// First the trail hears of all, then the webhook, which may be slow, of some at a time.
    async fn tell_all(&self) -> Result<(), DbError> {
        let mut announced = Vec::new();
        for (tenant_id, id) in self.calls.system().open_budget_alerts().await? {
            announced.extend(self.announce(tenant_id, id).await?);
        }
        let deliveries = announced.into_iter().map(|(caller, alert)| async move {
            let delivered = match &self.webhook {
                Some(webhook) => webhook.deliver(&alert).await.map_err(|error| error.to_string()),
                // It was told where there is none, or by a server that had one.
                None => Err("this server has no webhook".to_owned()),
            };
            let done = match delivered {
                Ok(()) => DELIVER,
                Err(error) if alert.is_last => {
                    given_up(&alert, &error);
                    GIVE_UP
                }
                Err(error) => {
                    if self.webhook.is_some() {
                        tracing::warn!(%error, alert = %alert.id, "the webhook did not take a budget alert; it is tried again");
                    }
                    return Ok(());
                }
            };
            let transaction = self.calls.door().open(&caller).await?;
            transaction.finish(done, &[&alert.tenant_id, &alert.id]).await.map(drop)
        });
        futures_util::stream::iter(deliveries).buffer_unordered(DELIVERIES).try_collect().await
    }

    /// Claims an alert and tells the trail, unless it was told before; `None` if another server has it.
    async fn announce(&self, tenant_id: TenantId, id: Uuid) -> Result<Option<(Caller, Arc<Alert>)>, DbError> {
        let caller = Caller { tenant_id, user_id: UserId::of_alerts(), scopes: Scopes::all() };
        let transaction = self.calls.door().open(&caller).await?;
        let row = transaction.finish(CLAIM, &[&tenant_id, &id]).await?;
        let Some(tenant) = row.try_get("slug")? else { return Ok(None) };
        let alert = Arc::new(Alert {
            id,
            tenant_id,
            tenant,
            period: row.try_get("period")?,
            starts: row.try_get("starts")?,
            user_id: Some(row.try_get::<_, String>("user_id")?).filter(|user_id| !user_id.is_empty()),
            level: row.try_get("level")?,
            limit_usd: row.try_get("limit_usd")?,
            spent_usd: row.try_get("spent_usd")?,
            raised_at: row.try_get("raised_at")?,
            attempts: row.try_get("attempts")?,
            is_last: row.try_get("is_last")?,
        });
        let mut awaits_webhook = true;
        if !row.try_get::<_, bool>("is_announced")? {
            awaits_webhook = self.webhook.is_some();
            let announce = Arc::new(Announce { has_webhook: self.webhook.is_some() });
            if let Err(failure) = self.calls.run_own(&announce, &caller, Arc::clone(&alert), DEADLINE).await {
                tracing::warn!(%failure, alert = %id, "a budget alert was not told and is tried again");
                return Ok(None);
            }
        }
        Ok(awaits_webhook.then_some((caller, alert)))
    }
}

/// Tells that nobody tries any more.
fn given_up(alert: &Alert, error: &str) {
    let (level, period) = (alert.level.clone(), alert.period.clone());
    metrics::counter!("bailiwick_budget_alerts_given_up_total", "level" => level, "period" => period).increment(1);
    tracing::error!(
        error,
        alert = %alert.id,
        tenant = %alert.tenant,
        level = %alert.level,
        period = %alert.period,
        attempts = alert.attempts,
        "a budget alert was given up, for its period is over: the webhook never took it"
    );
}

/// Describes the figures to the collector, once it is installed.
pub fn describe() {
    metrics::describe_counter!(
        "bailiwick_budget_alerts_given_up_total",
        "Alerts that the webhook did not take before their period was over, by level and period."
    );
    metrics::describe_counter!(
        "bailiwick_budget_alerts_total",
        "Limits that spending came near (WARNING) or reached (EXCEEDED), by level and period."
    );
    // An alert goes by it, and sees no increase of what appears with its first event.
    for (level, period) in [("WARNING", "day"), ("WARNING", "month"), ("EXCEEDED", "day"), ("EXCEEDED", "month")] {
        metrics::counter!("bailiwick_budget_alerts_total", "level" => level, "period" => period).increment(0);
        metrics::counter!("bailiwick_budget_alerts_given_up_total", "level" => level, "period" => period).increment(0);
    }
}
