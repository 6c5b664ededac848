use std::time::{Duration, Instant};

use super::breaker::{Came, Pass};
use super::{Aside, Replica};
use crate::db::{DbError, TenantTransaction};
use crate::identity::Caller;

/// Leave to try the replica once. Dropped before it [`ended`](Self::ended) it says nothing of how the replica does.
pub struct Chance<'a> {
    replica: &'a Replica,
    pass: Option<Pass>,
    last_write: Option<Instant>,
}

/// A transaction on the replica. Whoever has it ends it by [`end`](Self::end) or drops it, which stops its statement and closes its
/// connection.
pub struct Reading<'a> {
    replica: &'a Replica,
    transaction: TenantTransaction,
    last_write: Option<Instant>,
}

impl<'a> Chance<'a> {
    pub(super) fn new(replica: &'a Replica, pass: Pass, last_write: Option<Instant>) -> Self {
        Self { replica, pass: Some(pass), last_write }
    }

    /// Opens a transaction of the caller's that only reads.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn open(&self, caller: &Caller) -> Result<Reading<'a>, Aside> {
        let transaction = self.replica.0.door.open_there(caller).await?;
        Ok(Reading { replica: self.replica, transaction, last_write: self.last_write })
    }

    /// What came of it, which decides whether others are to try.
    pub fn ended<T>(mut self, read: &Result<T, Aside>) {
        let came = match read {
            Ok(_) => Came::Good,
            Err(aside) if aside.is_failure() => Came::Bad,
            Err(_) => Came::Nothing,
        };
        self.note(came);
    }

    fn note(&mut self, came: Came) {
        if let Some(pass) = self.pass.take() {
            self.replica.note(pass, came);
        }
    }
}

impl Drop for Chance<'_> {
    fn drop(&mut self) {
        self.note(Came::Nothing);
    }
}

impl Reading<'_> {
    /// Where to read.
    #[must_use]
    pub fn transaction(&self) -> &TenantTransaction {
        &self.transaction
    }

    /// How old at most is what it sees by now, as soon as the replica has said so: that goes with its first statements.
    ///
    /// # Errors
    /// Why what is read must not be told.
    pub async fn look(&self) -> Result<Duration, Aside> {
        let moment = self.transaction.moment().await;
        if let Some(error) = self.transaction.failure() {
            return Err(Aside::of(error));
        }
        match moment {
            Ok(Some(moment)) => self.replica.history().staleness(moment, self.last_write, Instant::now()),
            // It was promoted: whatever it says is another database's.
            Ok(None) => Err(Aside::Stranger),
            Err(error) => Err(Aside::of(&error)),
        }
    }

    /// Ends it: how old at most is what was read, if that is not too old.
    ///
    /// # Errors
    /// Why what was read must not be told.
    pub async fn end(self) -> Result<Duration, Aside> {
        let judged = self.look().await;
        match &judged {
            // The next connection may lead to another server, this one would lead to the same.
            Err(Aside::Stranger) => {}
            judged => {
                if let Err(Aside::Failed(DbError::Unavailable(_))) = judged {
                    // Nobody else need try it before it was heard of again.
                    self.replica.history().note_away();
                }
                // The caller need not wait for it to be rolled back.
                tokio::spawn(self.transaction.abandon());
            }
        }
        judged
    }

    /// Ends it early, for that reason.
    pub async fn leave(self, aside: &Aside) {
        match aside {
            // Heard at once, so another server has come further: the next connection may lead there.
            Aside::Lagging => {}
            _ => {
                let _ = self.end().await;
            }
        }
    }
}
