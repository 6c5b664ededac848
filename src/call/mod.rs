//! One call, from its arguments to its audit row.
//!
//! [`Calls::run`] is the only way a tool runs. It decides scope, deadline, transaction, outcome and audit row; tools
//! know none of it. A successful call's work and its row commit in one transaction, and the reply leaves after that
//! commit. A failed call's row is written on a fresh transaction once its work has been rolled back.

mod audit;
mod failure;
mod problems;
mod runner;
mod tool;

pub use failure::{Failure, FailureCode};
pub use problems::{Problem, Problems};
pub use runner::{CallOptions, Calls, Client};
pub use tool::{Action, Answer, Call, Hints, Tool};
