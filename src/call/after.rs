use super::record::Record;
use super::{Calls, Progress};
use crate::db::{DbError, TenantTransaction};
use crate::identity::Caller;

/// A call whose work is committed and whose answer has not left.
pub struct After<'a> {
    pub(super) calls: &'a Calls,
    pub(super) record: &'a Record,
}

impl After<'_> {
    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.record.caller
    }

    /// Where the client hears how far it is.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.record.client.progress
    }

    /// A transaction in the caller's context to look something up in. Whoever has it abandons it at once.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn look(&self) -> Result<TenantTransaction, DbError> {
        self.calls.0.door.open(&self.record.caller).await
    }
}
