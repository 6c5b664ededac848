//! One call, from its arguments to its audit row.
//!
//! [`Calls::run`] is the only way a tool runs (`run_own` for what the server does by itself). It decides scope, turn, deadline, transaction, outcome and audit row; tools
//! know none of it. A successful call's work and its row commit in one transaction, and the reply leaves after that
//! commit. A failed call's row is written by the recorder once its work has been rolled back, or waits on disk for the database.

mod admission;
mod after;
mod ahead;
mod arguments;
mod audit;
mod denial;
mod failure;
mod kind;
mod last;
pub mod metering;
mod options;
mod outcome;
mod privacy;
mod problems;
mod progress;
mod rate;
mod reading;
mod record;
mod recorder;
mod runner;
mod spool;
mod tool;
mod upkeep;
mod work;

pub use admission::{AdmissionOptions, TenantLimits};
pub use after::After;
pub use ahead::Ahead;
pub use failure::{Failure, FailureCode};
pub use kind::Kind;
pub use last::{Apply, Last};
pub use options::{CallOptions, Readiness};
pub use outcome::{Action, Outcome};
pub use problems::{Problem, Problems};
pub use progress::Progress;
pub use reading::ReadFrom;
pub use record::Client;
pub use runner::Calls;
pub use spool::{DEFAULT_SPOOL_BYTES, Stranded, left_in, move_left, stranded, tenants_left};
pub use tool::{Answer, Call, Hints, Tool};
