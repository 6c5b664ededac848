use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Alert;
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::usd;
use crate::identity::Scope;

const ANNOUNCE: &str = include_str!("../../../sql/queries/costs/announce_alert.sql");
/// How long it may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Puts an alert into the trail, the log and the figures: the server's own call, which no client can make.
pub(super) struct Announce {
    /// Whether a webhook is told next.
    pub has_webhook: bool,
}

/// Nothing.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {}

impl Tool for Announce {
    type Input = ();
    type Request = Arc<Alert>;
    type Output = Output;

    const SURFACE: &'static str = "worker";
    const NAME: &'static str = "budget_alert";
    const TITLE: &'static str = "Tell of a budget";
    const DESCRIPTION: &'static str = "Tells that a budget is nearly or wholly spent.";
    const SCOPE: Scope = Scope::CostsWrite;
    const ACTION: Action = Action::Alert;
    const BINDS_USER: bool = false;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: false };

    fn check(&self, (): ()) -> Result<Arc<Alert>, Problems> {
        Err(Problems::one("arguments", "cannot be given: only the server tells of budgets"))
    }

    fn describe(&self, alert: &Arc<Alert>) -> Map<String, Value> {
        Map::from_iter([
            ("level".to_owned(), alert.level.clone().into()),
            ("period".to_owned(), alert.period.clone().into()),
            ("starts".to_owned(), alert.starts.clone().into()),
            ("user_id".to_owned(), alert.user_id.clone().into()),
            ("limit_usd".to_owned(), usd(alert.limit_usd).into()),
            ("spent_usd".to_owned(), usd(alert.spent_usd).into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, alert: &Arc<Alert>) -> Result<Answer<Output>, Failure> {
        let parameters: [crate::db::Parameter<'_>; 3] = [&alert.tenant_id, &alert.id, &self.has_webhook];
        call.transaction.query_one(ANNOUNCE, &parameters).await.map_err(|error| call.failed(&error))?;
        Ok(Answer::new(Output {}).about(alert.id))
    }

    async fn after(&self, _: &crate::call::After<'_>, alert: &Arc<Alert>, _: &mut Output) {
        let (level, period) = (alert.level.clone(), alert.period.clone());
        metrics::counter!("bailiwick_budget_alerts_total", "level" => level, "period" => period).increment(1);
        tracing::warn!(
            tenant = %alert.tenant,
            user = alert.user_id.as_deref(),
            level = %alert.level,
            period = %alert.period,
            limit_usd = %usd(alert.limit_usd),
            spent_usd = %usd(alert.spent_usd),
            "a budget is nearly or wholly spent"
        );
    }
}
