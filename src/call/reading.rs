//! Reading on a replica, where there is one that is new enough; else, and after any trouble there, on the primary.

use std::time::Duration;

use tracing::{Instrument, debug_span};

use super::record::Record;
use super::{Answer, Calls, Failure, Tool, metering};
use crate::db::{Aside, Replica, TenantTransaction};

/// So long the replica has its chance: the primary needs its share of the call's time.
const PATIENCE: Duration = Duration::from_secs(4);
/// And no more than one of so many parts of it.
const SHARE: u32 = 2;

/// Where an answer was read, where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// In the transaction that keeps the call's row.
    Primary,
    /// On the replica.
    Replica {
        /// What had been committed so long before the reading ended, in milliseconds, is in it. The answer leaves after that,
        /// once its row is committed.
        stale_ms_at_most: u64,
    },
}

impl ReadFrom {
    /// The name that clients, the trail and the figures have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica { .. } => "replica",
        }
    }

    /// How old the answer is at most, in milliseconds, if it was read on the replica.
    #[must_use]
    pub const fn stale_ms_at_most(self) -> Option<u64> {
        match self {
            Self::Primary => None,
            Self::Replica { stale_ms_at_most } => Some(stale_ms_at_most),
        }
    }

    fn tell<T: Tool>(self, answer: &mut Answer<T::Output>) {
        T::note_reading(&mut answer.output, self);
        answer.details.insert("read_from".to_owned(), self.name().into());
        if let Some(stale_ms_at_most) = self.stale_ms_at_most() {
            answer.details.insert("stale_ms_at_most".to_owned(), stale_ms_at_most.into());
        }
    }
}

impl Calls {
    /// The tool's work. What it reads is read on the replica if it may and can be; once that failed, on the primary.
    pub(super) async fn run_tool<T: Tool>(
        &self,
        tool: &T,
        record: &Record,
        request: &T::Request,
        transaction: &TenantTransaction,
    ) -> Result<Answer<T::Output>, Failure> {
        let own = record.call(transaction, transaction);
        let Some(replica) = self.0.replica.as_ref().filter(|_| T::READS_REPLICA) else {
            return tool.run(&own, request).await;
        };
        let patience = PATIENCE.min(self.0.deadline / SHARE);
        let there = read_there(replica, patience, tool, record, request, transaction);
        let there = there.instrument(debug_span!("replica"));
        let (mut answer, from, reason) = match there.await {
            Ok((answer, from)) => (answer, from, "fresh"),
            Err(aside) => {
                replica.tell(&aside);
                (tool.run(&own, request).await?, ReadFrom::Primary, aside.name())
            }
        };
        metering::read(from.name(), reason);
        from.tell::<T>(&mut answer);
        Ok(answer)
    }

    /// A call of that tool changed something, or may have.
    pub(super) fn note_write<T: Tool>(&self, record: &Record) {
        if let Some(replica) = self.0.replica.as_ref().filter(|_| !T::HINTS.read_only) {
            replica.note_write(record.caller.tenant_id);
        }
    }
}

/// One try, of the replica's share of the call's time. What takes longer is dropped, wherever it is, and its statement stopped.
async fn read_there<T: Tool>(
    replica: &Replica,
    patience: Duration,
    tool: &T,
    record: &Record,
    request: &T::Request,
    transaction: &TenantTransaction,
) -> Result<(Answer<T::Output>, ReadFrom), Aside> {
    let chance = replica.chance(record.caller.tenant_id)?;
    let reading = async {
        let reading = chance.open(&record.caller).await?;
        let call = record.call(transaction, reading.transaction());
        // Which server it is and how far it has come is known with the first answer: nothing more is asked of one that is not fit.
        let ran = tokio::try_join!(reading.look(), async { Ok(tool.run(&call, request).await) });
        let (_, ran) = match ran {
            Ok(ran) => ran,
            Err(aside) => {
                reading.leave(&aside).await;
                return Err(aside);
            }
        };
        let staleness = reading.end().await?;
        match ran {
            Ok(answer) => {
                let stale_ms_at_most = u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
                Ok((answer, ReadFrom::Replica { stale_ms_at_most }))
            }
            // No statement failed: what else there is to say is for the primary's rows to say.
            Err(refused) => Err(Aside::Refused(refused.code().name())),
        }
    };
    let read = tokio::time::timeout(patience, reading).await.unwrap_or(Err(Aside::Slow));
    chance.ended(&read);
    read
}
