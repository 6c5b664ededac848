//! Every integration test, in one binary: they share one embedded PostgreSQL, and each has a database of its own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]
#![expect(clippy::disallowed_methods, reason = "tests arrange and look behind the curtain as superuser")]

mod administration;
mod audit;
mod bundle;
mod canary;
mod catalog;
mod clients;
mod conformance;
mod connect;
mod costs;
mod demo;
mod diagnosis;
mod documentation;
mod documents;
mod door;
mod embedding;
mod examples;
mod harness;
mod http;
mod ingest;
mod insert;
mod keys;
mod maintenance;
mod matrix;
mod migrations;
mod monitoring;
mod months;
mod packaging;
mod progress;
mod quality;
mod reach;
mod recovery;
mod reference;
mod registry;
mod replica;
mod restoring;
mod runbooks;
mod schemas;
mod seals;
mod search;
mod shells;
mod sql_files;
mod statistics;
mod stdio;
mod tenants;
mod tools;
mod torture;
mod trail;
mod views;
