//! What searches return, held against an independent oracle.

mod behaviour;
mod engine;
mod filters;
mod highlights;
mod interference;
mod oracle;
mod queries;
mod ranking;
