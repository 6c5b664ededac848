//! What searches return, held against an independent oracle.

mod behaviour;
mod filters;
mod oracle;
mod ranking;
mod engine;
mod queries;
mod interference;
