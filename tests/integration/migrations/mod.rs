//! The migration runner, on sample migrations and on the real ones.

mod database;
mod samples;

mod concurrency;
mod failures;
mod golang_migrate;
mod init;
mod killed;
mod load;
mod pending;
mod real;
mod refusals;
mod up_and_down;
