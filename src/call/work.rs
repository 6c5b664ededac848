//! A call's work, from its turn to the point where only the end is left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tracing::{Instrument, debug_span};

use super::admission::{Permit, Refused, TenantLimits};
use super::record::Record;
use super::runner::STOPPING;
use super::{Ahead, Answer, Calls, Failure, Tool, arguments, metering, privacy};
use crate::db::{DbError, Intent, TenantStatus, TenantTransaction};

/// A connection that was idle may turn out dead when it is used; so often another is tried.
pub(super) const MOST_TRIES: u32 = 3;

/// What a call is asked for, and by whom.
pub(super) enum Order<T: Tool> {
    /// A client's arguments, to be checked.
    OfClient { arguments: Map<String, Value> },
    /// The server's own work, with a deadline of its own.
    Own { request: T::Request, deadline: Duration },
}

impl<T: Tool> Order<T> {
    /// How long it may take, where a client's call may take so long.
    pub fn deadline(&self, of_clients: Duration) -> Duration {
        match self {
            Self::OfClient { .. } => of_clients,
            Self::Own { deadline, .. } => *deadline,
        }
    }
}

/// What a call's work came to.
pub(super) enum Work<T: Tool> {
    /// All but the end, and the request.
    Done(Box<(Done<T::Output>, T::Request)>),
    Failed(Failure),
}

/// A transaction that is ready to be committed, and what may be told once it is.
pub(super) struct Done<O> {
    pub transaction: TenantTransaction,
    pub answer: Answer<O>,
}

impl Calls {
    /// Everything up to the commit of a successful call. May be dropped anywhere: what was begun is then rolled back.
    pub(super) async fn work<T: Tool>(
        &self,
        tool: &Arc<T>,
        record: &Record,
        order: Order<T>,
        details: &mut Map<String, Value>,
        permit: &mut Option<Arc<Permit>>,
    ) -> Work<T> {
        let deadline = record.started + order.deadline(self.0.deadline);
        let worked = async {
            let mut request = match order {
                Order::OfClient { arguments } => {
                    self.admit::<T>(record, permit).instrument(debug_span!("turn")).await?;
                    let checked = arguments::prepare(tool, arguments, permit.clone());
                    checked.instrument(debug_span!("arguments")).await.map_err(Failure::InvalidInput)?
                }
                // The server's own work has its own bounds, and takes no client's turn.
                Order::Own { .. } if self.0.closing.is_cancelled() => return Err(STOPPING),
                Order::Own { request, .. } => request,
            };
            *details = tool.describe(&request);
            if !T::HINTS.read_only {
                record.needs_intent();
            }
            let ahead = Ahead { calls: self, record, deadline, binds_user: T::BINDS_USER };
            tool.prepare(&ahead, &mut request).instrument(debug_span!("prepare")).await?;
            let mut tries = 1;
            loop {
                match self.attempt(tool, record, &request, details).instrument(debug_span!("work", tries)).await {
                    // Nothing had begun, so nothing is begun twice.
                    Err(Attempt::NotBegun(_)) if tries < MOST_TRIES => tries += 1,
                    Err(Attempt::NotBegun(failure) | Attempt::Failed(failure)) => return Err(failure),
                    Ok(done) => return Ok((done, request)),
                }
            }
        };
        match worked.await {
            Ok(done) => Work::Done(Box::new(done)),
            Err(failure) => Work::Failed(failure),
        }
    }

    /// Scope and turn.
    async fn admit<T: Tool>(&self, record: &Record, permit: &mut Option<Arc<Permit>>) -> Result<(), Failure> {
        if !record.caller.scopes.allow(T::SCOPE) {
            let (name, scope) = (T::NAME, T::SCOPE);
            return Err(Failure::Forbidden(format!("{name} needs the scope {scope}, which you do not have.")));
        }
        if self.0.closing.is_cancelled() {
            return Err(STOPPING);
        }
        let asked = Instant::now();
        let entered = self.0.admission.enter(record.caller.tenant_id).await.map_err(|refused| match refused {
            Refused::Overloaded => Failure::Overloaded { retry_after_s: 1 },
            Refused::TooOften { retry_after } => {
                let retry_after_s = u32::try_from(retry_after.as_secs() + 1).unwrap_or(u32::MAX);
                Failure::RateLimited { retry_after_s }
            }
        });
        *permit = Some(Arc::new(entered?));
        metering::waited(asked.elapsed());
        Ok(())
    }

    /// The call's intent, if it needs one.
    pub(super) async fn intent(&self, record: &Record) -> Result<Option<Intent>, DbError> {
        match record.has_intent() {
            true => Ok(Some(record.intent(self.0.lease.key().await?))),
            false => Ok(None),
        }
    }

    /// One transaction, up to its last statement.
    async fn attempt<T: Tool>(
        &self,
        tool: &Arc<T>,
        record: &Record,
        request: &T::Request,
        details: &mut Map<String, Value>,
    ) -> Result<Done<T::Output>, Attempt> {
        let failed = |error| Failure::from_db(&error, record.call_id);
        let intent = self.intent(record).await.map_err(failed).map_err(Attempt::Failed)?;
        let opened = self.0.door.open_with(&record.caller, intent.as_ref()).await;
        let transaction = opened.map_err(|error| Attempt::not_begun(error, record))?;
        let result = self.run_tool(tool.as_ref(), record, request, &transaction).await;
        let status = match transaction.tenant().await {
            Ok(tenant) => {
                self.0.admission.learn(record.caller.tenant_id, TenantLimits::from_settings(&tenant.settings));
                if let Some(query) = tool.query(request) {
                    privacy::note_query(details, tenant, query);
                }
                Ok(tenant.status)
            }
            Err(error) => Err(error),
        };
        let failure = match (result, status) {
            (Ok(answer), Ok(TenantStatus::Active)) => return Ok(Done { transaction, answer }),
            // Whatever a tool found, a tenant that may not call is told nothing of it.
            (_, Ok(status @ (TenantStatus::Suspended | TenantStatus::Deleted))) => Attempt::Failed(refused(status)),
            (_, Err(error)) => Attempt::not_begun(error, record),
            (Err(failure), Ok(TenantStatus::Active)) => Attempt::Failed(failure),
        };
        transaction.abandon().await;
        Err(failure)
    }
}

/// Why a transaction did not come to its end.
enum Attempt {
    /// The connection was dead before anything had run.
    NotBegun(Failure),
    Failed(Failure),
}

impl Attempt {
    fn not_begun(error: DbError, record: &Record) -> Self {
        let failure = Failure::from_db(&error, record.call_id);
        match error {
            DbError::Unavailable(_) => Self::NotBegun(failure),
            _ => Self::Failed(failure),
        }
    }
}

pub(super) fn refused(status: TenantStatus) -> Failure {
    Failure::Forbidden(match status {
        TenantStatus::Suspended => "your tenant is suspended; its operator can activate it again.".to_owned(),
        _ => "your tenant does not exist any more.".to_owned(),
    })
}
