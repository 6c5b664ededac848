//! The audit trail's seals: that they hold while calls go on, that whatever is changed behind them is found and named,
//! and that months can be retired without a hole.

mod commands;
mod edits;
mod keys;
mod retention;
mod sealing;
mod speed;
mod structure;
mod tampering;
mod trail;

pub use trail::PATIENCE;
