use std::time::{Duration, Instant};

use super::record::Record;
use super::work::refused;
use super::{Calls, Failure, Progress};
use crate::costs::{Budget, BudgetStatus};
use crate::db::{DbError, TenantStatus, TenantTransaction};
use crate::identity::Caller;

/// A call that has been let in and whose transaction has not begun.
pub struct Ahead<'a> {
    pub(super) calls: &'a Calls,
    pub(super) record: &'a Record,
    pub(super) has_intent: bool,
    pub(super) deadline: Instant,
}

/// Whether money may be spent for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// It may.
    Allowed,
    /// The month's budget is spent.
    BudgetSpent,
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

    /// Where the client hears how far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.record.client.progress
    }

    /// Whether money may be spent: asked before it is. The call's intent, if it has one, is kept first, so that what a server
    /// spends before it dies is known to have been begun.
    ///
    /// # Errors
    /// [`Failure::Forbidden`] if the tenant may not call at all, and what keeps the database from answering.
    pub async fn spending(&self) -> Result<Spending, Failure> {
        let transaction = self.look().await?;
        let budget = Budget::read(&transaction, self.record.caller.tenant_id).await;
        transaction.abandon().await;
        Ok(match budget.map_err(|error| self.failed(&error))?.status {
            BudgetStatus::Exceeded => Spending::BudgetSpent,
            BudgetStatus::Ok | BudgetStatus::Warning => Spending::Allowed,
        })
    }

    /// A transaction in the caller's context to read something in before the work begins. Whoever has it abandons it at once.
    ///
    /// # Errors
    /// As [`spending`](Self::spending).
    pub async fn look(&self) -> Result<TenantTransaction, Failure> {
        let failed = |error: DbError| self.failed(&error);
        let intent = self.calls.intent(self.record, self.has_intent).await.map_err(failed)?;
        let transaction = self.calls.0.door.open_with(&self.record.caller, intent.as_ref()).await.map_err(failed)?;
        let refusal = match transaction.tenant().await {
            Ok(tenant) if tenant.status == TenantStatus::Active => return Ok(transaction),
            Ok(tenant) => refused(tenant.status),
            Err(error) => self.failed(&error),
        };
        transaction.abandon().await;
        Err(refusal)
    }

    /// Turns a database error into what the caller may know.
    fn failed(&self, error: &DbError) -> Failure {
        Failure::from_db(error, self.record.call_id)
    }
}
