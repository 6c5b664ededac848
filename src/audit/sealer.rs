use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_postgres::Client;

use super::chain::{self, Leaves};
use super::cut::Cut;
use super::foothold::Foothold;
use super::{AuditError, AuditRow, Keeping, Moment, Seal};
use crate::db::{DbError, OperatorTransaction};
use crate::maintenance::lock;

const ROWS: &str = include_str!("../../sql/queries/audit/rows.sql");

/// At most so many rows under one seal: 2.4 MB of leaves.
const MOST_ROWS: i64 = 50_000;

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sealed {
    /// There was nothing to seal.
    Nothing,
    /// Somebody else was at it.
    Busy,
    /// A transaction is under way that may still add a row: the next pass goes on.
    Pending,
    /// The chain is signed, and this process has no key.
    KeyMissing,
    /// Rows were sealed.
    #[expect(missing_docs, reason = "counts")]
    Rows { seals: u32, rows: i64 },
}

/// Seals the audit trail, a pass at a time.
pub struct Sealer {
    keeping: Keeping,
    pending: Option<Cut>,
    foothold: Foothold,
    /// Up to this id there was nothing to seal: calls that were rolled back leave ids without rows.
    looked_until: i64,
    most_rows: i64,
    waits: bool,
    has_warned: bool,
}

impl Sealer {
    /// A sealer that keeps key and heads there.
    #[must_use]
    pub fn new(keeping: Keeping) -> Self {
        Self {
            keeping,
            pending: None,
            foothold: Foothold::default(),
            looked_until: 0,
            most_rows: MOST_ROWS,
            waits: true,
            has_warned: false,
        }
    }

    /// Puts so many rows under one seal at most.
    #[must_use]
    pub fn most_rows(mut self, most_rows: i64) -> Self {
        self.most_rows = most_rows;
        self
    }

    /// A fault, planted to show that the checks find it: seals without waiting for who may still insert.
    #[doc(hidden)]
    #[must_use]
    pub fn without_waiting(mut self) -> Self {
        self.waits = false;
        self
    }

    /// Seals what can be sealed now, on an administrator's connection of its own. Never waits for a transaction.
    ///
    /// # Errors
    /// Any [`AuditError`]; seals that were written before it stay. [`AuditError::Refused`] if a seal is gone that was
    /// there, or whose head was kept.
    pub async fn pass(&mut self, client: &Client) -> Result<Sealed, AuditError> {
        if !lock::try_take(client, lock::SEALS).await? {
            return Ok(Sealed::Busy);
        }
        let done = self.work(client).await;
        lock::release(client, lock::SEALS).await?;
        done
    }

    /// Passes until all that was closed before is sealed, for at most so long.
    ///
    /// # Errors
    /// Any [`AuditError`].
    pub async fn settle(&mut self, client: &Client, at_most: Duration) -> Result<Sealed, AuditError> {
        let started = std::time::Instant::now();
        loop {
            match self.pass(client).await? {
                Sealed::Pending | Sealed::Busy if started.elapsed() < at_most => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                done => return Ok(done),
            }
        }
    }

    async fn work(&mut self, client: &Client) -> Result<Sealed, AuditError> {
        let transaction = OperatorTransaction::begin(client).await?;
        let last = self.find_end(&transaction).await;
        let last = transaction.end(last).await?;
        let sealed_id = last.as_ref().map_or(0, |last| last.last_id).max(self.looked_until);
        let pending = self.pending.take().filter(|cut| cut.last_id > sealed_id);
        let cut = match pending {
            Some(cut) => cut,
            None => match Cut::sample(client, sealed_id).await? {
                Some(cut) => cut,
                None => return Ok(Sealed::Nothing),
            },
        };
        if !chain::may_follow(last.as_ref(), &self.keeping) {
            self.warn("the audit trail's seals are signed and this process has no key (BAILIWICK_AUDIT_KEY): it does not seal");
            return Ok(Sealed::KeyMissing);
        }
        if self.waits && !cut.is_ready(client).await? {
            self.pending = Some(cut);
            return Ok(Sealed::Pending);
        }
        if self.keeping.key.is_none() {
            self.warn("the audit trail is sealed without a signature: set BAILIWICK_AUDIT_KEY");
        }
        self.seal(client, cut).await
    }

    /// The last seal, made sure that the chain was not cut off meanwhile.
    async fn find_end(&mut self, transaction: &OperatorTransaction<'_>) -> Result<Option<Seal>, AuditError> {
        let last = chain::last_seal(transaction).await?;
        self.foothold.check(transaction, self.keeping.heads.as_ref(), last.as_ref()).await?;
        Ok(last)
    }

    async fn seal(&mut self, client: &Client, cut: Cut) -> Result<Sealed, AuditError> {
        let (mut seals, mut rows) = (0, 0);
        loop {
            let transaction = OperatorTransaction::begin(client).await?;
            let written = self.step(&transaction, cut).await;
            match transaction.end(written).await? {
                Step::Wrote { database, seal, is_last } => {
                    seals += 1;
                    rows += seal.row_count;
                    self.foothold.go_to(&seal);
                    chain::publish(&self.keeping, database, *seal).await;
                    if is_last {
                        break;
                    }
                }
                Step::Empty => {
                    self.looked_until = cut.last_id;
                    break;
                }
                Step::Overtaken => return Ok(Sealed::Busy),
            }
        }
        Ok(if seals == 0 { Sealed::Nothing } else { Sealed::Rows { seals, rows } })
    }

    async fn step(&self, transaction: &OperatorTransaction<'_>, cut: Cut) -> Result<Step, DbError> {
        let last = chain::last_seal(transaction).await?;
        let first_id = last.as_ref().map_or(1, |last| last.last_id + 1);
        // One more than a seal takes, to know whether it is the cut's last.
        let stream = transaction.stream(ROWS, &[&first_id, &cut.last_id, &(self.most_rows + 1)]).await?;
        let mut stream = pin!(stream);
        let (mut leaves, mut last_id, mut is_last) = (Leaves::default(), cut.last_id, true);
        let mut latest_id = first_id;
        while let Some(row) = stream.try_next().await? {
            if leaves.count() == self.most_rows {
                (last_id, is_last) = (latest_id, false);
                continue;
            }
            let entry = AuditRow::read(&row)?.entry();
            latest_id = entry.id;
            leaves.push(&entry);
        }
        if leaves.count() == 0 {
            return Ok(Step::Empty);
        }
        // Rows are not closed in the order of their ids, so only the cut's last seal can vouch for its moment.
        let before = last.as_ref().map_or(Moment::UNIX_EPOCH, |last| last.sealed_until);
        let sealed_until = if is_last { cut.until } else { before };
        let retained_from = last.as_ref().and_then(|last| last.retained_from);
        let seal = chain::next_seal(last.as_ref(), leaves, last_id, sealed_until, retained_from, &self.keeping);
        Ok(match chain::add(transaction, &seal).await? {
            Some(database) => Step::Wrote { database, seal: Box::new(seal), is_last },
            None => Step::Overtaken,
        })
    }

    fn warn(&mut self, text: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!("{text}");
        }
    }
}

enum Step {
    Wrote { database: String, seal: Box<Seal>, is_last: bool },
    Empty,
    Overtaken,
}
