use std::time::{Duration, Instant};

use super::record::Record;
use super::work::{MOST_TRIES, refused};
use super::{Calls, Failure, Progress, metering};
use crate::costs::{self, Estimate, Reservation};
use crate::db::{DbError, TenantStatus, TenantTransaction};
use crate::identity::Caller;

/// A call that has been let in and whose transaction has not begun.
pub struct Ahead<'a> {
    pub(super) calls: &'a Calls,
    pub(super) record: &'a Record,
    pub(super) deadline: Instant,
    /// Whether the user's own limits bind it: not where the server works by itself.
    pub(super) binds_user: bool,
}

impl Ahead<'_> {
    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.record.caller
    }

    /// Time that is left of the call, less what its transaction needs.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        const FOR_THE_TRANSACTION: Duration = Duration::from_secs(2);
        self.deadline.saturating_duration_since(Instant::now()).saturating_sub(FOR_THE_TRANSACTION)
    }

    /// Calls, for work that goes on should this call end.
    pub(crate) fn calls(&self) -> &Calls {
        self.calls
    }

    /// Where the client hears how far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.record.client.progress
    }

    /// Holds what the call is about to spend, before it spends it; whoever closes the call gives back what is held. The call has
    /// an intent from now on, so that what a server spends before it dies is known to have been begun.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] if the tenant may not call at all, and what keeps the database from answering.
    pub async fn reserve(&self, estimate: &Estimate) -> Result<Reservation, Failure> {
        self.record.needs_intent();
        let transaction = self.look().await?;
        let reserved = costs::reserve(transaction, self.record.call_id, estimate, self.binds_user).await;
        let reserved = reserved.map_err(|error| self.failed(&error))?;
        if let Reservation::Refused(refusal) = &reserved {
            metering::budget_refused(refusal);
        }
        Ok(reserved)
    }

    /// A transaction in the caller's context to read something in before the work begins. Whoever has it abandons it at once.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub async fn look(&self) -> Result<TenantTransaction, Failure> {
        let failed = |error: DbError| self.failed(&error);
        let mut tries = 1;
        loop {
            let intent = self.calls.intent(self.record).await.map_err(failed)?;
            let transaction =
                self.calls.0.door.open_with(&self.record.caller, intent.as_ref()).await.map_err(failed)?;
            let refusal = match transaction.tenant().await {
                Ok(tenant) if tenant.status == TenantStatus::Active => return Ok(transaction),
                Ok(tenant) => Some(refused(tenant.status)),
                // A connection that was idle may turn out dead; nothing has begun on it.
                Err(DbError::Unavailable(_)) if tries < MOST_TRIES => None,
                Err(error) => Some(self.failed(&error)),
            };
            transaction.abandon().await;
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
            tries += 1;
        }
    }

    /// Turns a database error into what the caller may know.
    #[must_use]
    pub fn failed(&self, error: &DbError) -> Failure {
        Failure::from_db(error, self.record.call_id)
    }
}
