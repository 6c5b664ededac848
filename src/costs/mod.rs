//! What tokens cost: the ledger's rows, reports over them, and the month's budget. Money is decimal from end to end.

pub mod alerts;
mod budget;
pub mod prices;
mod report;
mod reservation;
pub mod retention;
mod usage;

pub use budget::{Budget, BudgetStatus, Limit};
pub use report::{Bound, GroupKey, Order, Period, Question, Report, ReportRow, Sums, is_zone, report};
pub use reservation::{Estimate, Refusal, Reservation, reserve};
pub use usage::{Priced, Usage, known_models, record, record_embedding};

use rust_decimal::Decimal;

/// USD as text without trailing zeros, so that no reader's floating point rounds it.
#[must_use]
pub fn usd(amount: Decimal) -> String {
    amount.normalize().to_string()
}
